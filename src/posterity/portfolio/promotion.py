"""Whether a challenger may take the champion's place: gates over two results and rows that neither has seen.

The comparison is paired: both predict the same rows, and what is averaged over entities is the difference of
their CRPS (Gneiting & Raftery, JASA 102:359, 2007), with a standard error over entities.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from posterity.config.promotion import Promotion
from posterity.config.schema import percent
from posterity.panel.reading import Source
from posterity.portfolio.result import Result
from posterity.portfolio.scores import compare, score, summary
from posterity.portfolio.unseen import Unseen, unseen

type Decision = Literal["promoted", "kept", "waiting"]

WORST = 10
"""Entities listed where the challenger does worst."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition: what was found, the bound, and both in a sentence. `value` is None if nothing could be
    measured.
    """

    name: str
    value: float | None
    bound: float
    passed: bool
    sentence: str


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the gates say of a challenger.

    `entities` has a row for each entity scored, those first where the challenger is worst: `entity`, `rows`,
    `crps`, `inside` (share of rows in the interval) and, against a champion, `crps_champion` and
    `difference`. `rows` were scored, `seen` were left out as a posterior has them inside.
    """

    decision: Decision
    gates: tuple[Gate, ...]
    entities: pd.DataFrame
    rows: int
    seen: int

    @property
    def reason(self) -> str:
        """Why, in a sentence."""
        failed = [gate.sentence for gate in self.gates if not gate.passed]
        said = "; ".join(failed or [gate.sentence for gate in self.gates])
        opening = {
            "promoted": "every gate is passed",
            "waiting": "every gate is passed, a person has the last word",
            "kept": f"{len(failed)} of {len(self.gates)} gates not passed",
        }
        return f"{opening[self.decision]}: {said}"

    @property
    def worst(self) -> pd.DataFrame:
        """The ten entities where the challenger does worst."""
        return self.entities.head(WORST)

    def table(self) -> list[dict[str, Any]]:
        """The gates as rows for a page."""
        return [
            {
                "gate": g.name,
                "passed": g.passed,
                "found": _short(g.value),
                "bound": g.bound,
                "means": g.sentence,
            }
            for g in self.gates
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is missing is None."""
        worst = self.worst.to_dict(orient="records")
        return {
            "decision": self.decision,
            "reason": self.reason,
            "rows": self.rows,
            "seen": self.seen,
            "gates": self.table(),
            "worst": [{str(k): None if v != v else v for k, v in row.items()} for row in worst],
        }


def judge(challenger: Result, champion: Result | None, rows: Source, rules: Promotion) -> Verdict:
    """Compare a challenger with the champion on the given rows that neither has seen.

    Without a champion only the challenger's own gates count, and where there are too few unseen rows to judge
    its coverage, that is left out. Raises PanelError for rows that cannot be read, ResultError where the two
    are not about the same columns.
    """
    both = [challenger] if champion is None else [challenger, champion]
    fresh = unseen(rows, both)
    ours = _scores(challenger, fresh, rules)
    theirs = None if champion is None else _scores(champion, fresh, rules)
    gates = tuple(_gates(challenger, champion, ours, theirs, rules))
    passed = all(gate.passed for gate in gates)
    decision: Decision = "kept" if not passed else "waiting" if rules.approval else "promoted"
    return Verdict(decision, gates, _entities(ours, theirs, rules), len(ours), fresh.seen)


def _gates(
    challenger: Result,
    champion: Result | None,
    ours: pd.DataFrame,
    theirs: pd.DataFrame | None,
    rules: Promotion,
) -> Iterator[Gate]:
    yield _flagged(challenger, rules)
    if champion is not None:
        yield _lost(challenger, champion, rules)
    enough = len(ours) >= rules.min_rows
    alone = champion is None
    tail = ", and there is no champion to compare with" if alone else ""
    said = f"{len(ours):,} unseen rows were scored (at least {rules.min_rows:,}){tail}"
    yield Gate("rows", float(len(ours)), float(rules.min_rows), enough or alone, said)
    if enough:
        yield _coverage(ours, rules)
        if theirs is not None:
            yield _crps(ours, theirs, rules)


def _flagged(challenger: Result, rules: Promotion) -> Gate:
    status = challenger.entities["status"]
    share = float(status.isin(["flagged", "failed"]).mean()) if len(status) else 1.0
    said = f"{share:.1%} of {len(status):,} entities are flagged or failed (at most {rules.max_flagged:.0%})"
    return Gate("flagged", share, rules.max_flagged, share <= rules.max_flagged, said)


def _lost(challenger: Result, champion: Result, rules: Promotion) -> Gate:
    had, has = _fitted(champion), _fitted(challenger)
    lost = sorted(had - has)
    share = len(lost) / max(len(had), 1)
    first = f", first {lost[0]!r}" if lost else ""
    said = (
        f"{len(lost):,} of the champion's {len(had):,} entities have no posterior in the challenger{first} "
        f"(at most {rules.max_lost:.0%})"
    )
    return Gate("lost", share, rules.max_lost, share <= rules.max_lost, said)


def _coverage(ours: pd.DataFrame, rules: Promotion) -> Gate:
    mass = percent(rules.interval)
    row = summary(ours).iloc[0]
    found, se = float(row[f"coverage_{mass}"]), float(row[f"coverage_{mass}_se"])
    off = abs(found - rules.interval)
    slack = rules.standard_errors * se if np.isfinite(se) else 0.0
    spread = f" ± {100 * se:.1f}" if np.isfinite(se) else ""
    said = (
        f"the {rules.interval:.0%} intervals hold {100 * found:.1f}{spread} % of unseen rows (may be off by "
        f"{rules.coverage:.0%} or {rules.standard_errors:g} standard errors)"
    )
    return Gate("coverage", found, rules.coverage, off <= max(rules.coverage, slack), said)


def _crps(ours: pd.DataFrame, theirs: pd.DataFrame, rules: Promotion) -> Gate:
    if theirs.empty or not set(ours["entity"]) & set(theirs["entity"]):
        said = "no unseen row is predicted by both, so their CRPS cannot be compared"
        return Gate("crps", None, 0.0, False, said)
    found = compare(ours, theirs)
    bound = rules.standard_errors * found.se if np.isfinite(found.se) else 0.0
    word = "worse" if found.difference > 0 else "better"
    said = (
        f"the challenger's CRPS is {abs(found.difference):.4g} {word} than the champion's over "
        f"{found.entities:,} entities, with standard error {found.se:.2g} (may be worse by {bound:.2g})"
    )
    return Gate("crps", found.difference, bound, bool(found.difference <= bound), said)


def _entities(ours: pd.DataFrame, theirs: pd.DataFrame | None, rules: Promotion) -> pd.DataFrame:
    inside = f"inside_{percent(rules.interval)}"
    grouped = ours.groupby("entity", sort=True)
    table = pd.DataFrame(
        {"rows": grouped.size(), "crps": grouped["crps"].mean(), "inside": grouped[inside].mean()}
    )
    order = "crps"
    if theirs is not None:
        table["crps_champion"] = theirs.groupby("entity")["crps"].mean()
        table["difference"] = table["crps"] - table["crps_champion"]
        order = "difference"
    return table.sort_values(order, ascending=False, kind="stable").reset_index()


def _scores(result: Result, fresh: Unseen, rules: Promotion) -> pd.DataFrame:
    if fresh.panel is None:
        return pd.DataFrame(
            columns=["entity", "time", "observed", "crps", f"inside_{percent(rules.interval)}"]
        )
    return score(result, fresh.panel.table, intervals=(rules.interval,))


def _fitted(result: Result) -> set[str]:
    """Entities with a posterior."""
    table = result.entities
    return set(table.loc[table["method"].notna(), "entity"])


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
