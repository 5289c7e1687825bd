"""Moving the alias `champion`: by the gates, by a person's approval, and back.

Every move writes its tags first and the alias last, so that a process killed in between has moved nothing and
the same call finishes it. An alias is compared with what was judged right before it moves.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from posterity.config.promotion import Promotion
from posterity.errors import TrackingError
from posterity.panel.reading import Source
from posterity.portfolio.promotion import Verdict, judge
from posterity.tracking.registry.register import open_version
from posterity.tracking.registry.registry import CHALLENGER, CHAMPION, Registry, Version, aliased, at

type Happened = Literal["promoted", "kept", "waiting", "rejected", "rolled back"]

DECISION, REASON, AGAINST, BEFORE = "decision", "reason", "compared_with", "champion_before"
NOBODY = "none"
FOLDER = "promotion"


@dataclass(frozen=True, eq=False)
class Move:
    """What became of a version, and who is champion now. `verdict` is there where the gates were asked."""

    version: Version
    happened: Happened
    reason: str
    champion: int | None
    verdict: Verdict | None = None

    @property
    def sentence(self) -> str:
        """For people."""
        now = f"version {self.champion}" if self.champion is not None else "none yet"
        return f"{self.version}: {self.happened}; {self.reason}. Champion: {now}"


def promote(
    registry: Registry, name: str, rows: Source, rules: Promotion, *, version: int | None = None
) -> Move:
    """Compare a version (default: the challenger) with the champion on rows that neither has seen, and let
    the alias `champion` move, stay, or wait for a person.

    Gates, numbers and worst entities are left as `promotion/verdict.json` and `promotion/entities.csv` in the
    version's run, the decision and its reason as tags. Raises TrackingError where there is no challenger,
    PanelError and ResultError as `judge` does.
    """
    challenger = aliased(registry, name, CHALLENGER) if version is None else at(registry, name, version)
    if challenger is None:
        raise TrackingError(
            f"{registry.uri}: {name} has no challenger; run the train flow, which registers one"
        )
    champion = aliased(registry, name, CHAMPION)
    now = None if champion is None else champion.number
    if now == challenger.number:
        return Move(challenger, "kept", "it is the champion already", now)
    if challenger.tags.get(DECISION) == "rolled back":
        reason = (
            "it was rolled back, which gates do not undo; register a new result, or roll back to this version"
        )
        return Move(challenger, "kept", reason, now)
    with tempfile.TemporaryDirectory(prefix="posterity-") as scratch:
        folder = Path(scratch)
        ours = open_version(registry, challenger, folder / "challenger")
        theirs = None if champion is None else open_version(registry, champion, folder / "champion")
        verdict = judge(ours, theirs, rows, rules)
        _leave(registry, challenger, verdict, folder)
    told = {AGAINST: _against(now), REASON: verdict.reason, "rows": str(verdict.rows)}
    if verdict.decision != "promoted":
        registry.tag(challenger, {DECISION: verdict.decision, **told})
        return Move(challenger, verdict.decision, verdict.reason, now, verdict)
    moved = _move(registry, challenger, now, told)
    return Move(challenger, moved.happened, moved.reason, moved.champion, verdict)


def approve(
    registry: Registry,
    name: str,
    version: int,
    decision: Literal["approve", "reject"],
    *,
    reason: str,
    reviewer: str,
) -> Move:
    """A person's word on a version whose verdict is `waiting`.

    Raises TrackingError where it does not wait, or where the champion has moved since it was compared.
    """
    found = at(registry, name, version)
    now = registry.pointed(name, CHAMPION)
    if now == version:
        return Move(found, "kept", "it is the champion already", now)
    state, against = found.tags.get(DECISION), found.tags.get(AGAINST)
    # `promoted` without the alias is an approval that was killed halfway.
    if state != "waiting" and (state, decision) != ("promoted", "approve"):
        raise TrackingError(
            f"{found} does not wait for approval, its decision is {state or 'open'}; run the promote flow "
            "first"
        )
    told = {"reviewer": reviewer, "review": reason, REASON: f"{decision} by {reviewer}: {reason}"}
    if decision == "reject":
        registry.tag(found, {DECISION: "rejected", **told})
        return Move(found, "rejected", told[REASON], now)
    if against != _against(now):
        raise TrackingError(
            f"{found} was compared with champion {against}, which is now {_against(now)}; run the promote "
            "flow again, then approve what it says"
        )
    return _move(registry, found, now, told)


def rollback(
    registry: Registry,
    name: str,
    version: int | None = None,
    *,
    reason: str,
    leaving: int | None = None,
) -> Move:
    """Give the alias `champion` back to the version that had it before, or to a `version` that once had it.

    `leaving` names the version that is to be champion no more: a second call then finds that done, instead of
    going back once more. Raises TrackingError where there is nothing to go back to.
    """
    with registry.alone(name):
        champion = aliased(registry, name, CHAMPION)
        if champion is None:
            raise TrackingError(f"{registry.uri}: {name} has no champion to roll back")
        if leaving is not None and champion.number != leaving:
            return Move(champion, "kept", f"version {leaving} is not the champion", champion.number)
        number = version
        if number is None:
            before = champion.tags.get(BEFORE, NOBODY)
            if before == NOBODY:
                raise TrackingError(
                    f"{champion} is the first champion: there is none before it to go back to"
                )
            number = int(before)
        target = at(registry, name, number)
        if target.number == champion.number:
            return Move(target, "kept", "it is the champion already", number)
        if BEFORE not in target.tags:
            raise TrackingError(f"{target} never was champion; promote it instead")
        registry.tag(champion, {DECISION: "rolled back", REASON: f"rolled back to {target.number}: {reason}"})
        restored = f"restored from version {champion.number}: {reason}"
        registry.tag(target, {DECISION: "promoted", REASON: restored, "champion_since": _now()})
        registry.point(target, CHAMPION)
    return Move(champion, "rolled back", reason, target.number)


def _move(registry: Registry, version: Version, judged: int | None, told: Mapping[str, str]) -> Move:
    with registry.alone(version.name):
        now = registry.pointed(version.name, CHAMPION)
        if now != judged:
            reason = (
                f"the champion moved from {_against(judged)} to {_against(now)} while this was decided; "
                "run the promote flow again"
            )
            registry.tag(version, {**told, DECISION: "kept", REASON: reason})
            return Move(version, "kept", reason, now)
        tags = {BEFORE: _against(now), "champion_since": _now()}
        registry.tag(version, {**told, **tags, DECISION: "promoted"})
        registry.point(version, CHAMPION)
    return Move(version, "promoted", told[REASON], version.number)


def _leave(registry: Registry, version: Version, verdict: Verdict, folder: Path) -> None:
    page, table = folder / "verdict.json", folder / "entities.csv"
    page.write_text(json.dumps(verdict.to_dict(), indent=2, allow_nan=False), encoding="utf-8")
    verdict.entities.to_csv(table, index=False, float_format="%.6g", lineterminator="\n")
    for file in (page, table):
        registry.attach(version, file, FOLDER)


def _against(number: int | None) -> str:
    return NOBODY if number is None else str(number)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
