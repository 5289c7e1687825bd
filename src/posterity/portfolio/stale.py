"""Whether a result was built on what is there now: its upstream results compared with those of today."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from posterity.errors import ResultError
from posterity.portfolio.newest import located
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.rules import first_match
from posterity.portfolio.upstream import HELD, upstreams


@dataclass(frozen=True)
class Upstream:
    """A portfolio that a result was built on.

    `asked` is what the configuration calls it; `used` and `used_run` are the folder and run key it had then
    (None: no entity had a prior from it), `now` and `now_run` what is found there now (None: nothing).
    `changed` are entities whose parent has another posterior now, `appeared` those that have a parent now and
    had none, `gone` those whose parent has no posterior any more.
    """

    asked: str
    used: str | None
    used_run: str | None
    now: str | None
    now_run: str | None
    changed: tuple[str, ...] = ()
    appeared: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether a new fit would give some entity another prior."""
        return bool(self.changed or self.appeared or self.gone)

    @property
    def sentence(self) -> str:
        """The whole in a line."""
        if self.now is None:
            return f"{self.asked}: there is no result any more; {self.used} was used"
        was = f"{self.used} was used" if self.used else "nothing of it was used"
        if self.now_run == self.used_run:
            return f"{self.asked}: as it was when it was used ({self.used})"
        if not self.stale:
            return f"{self.asked}: {was}, {self.now} is newer, and no parent has another posterior there"
        kinds = (
            ("with another posterior", self.changed),
            ("that had none", self.appeared),
            ("without one any more", self.gone),
        )
        told = ", ".join(f"{len(who):,} {what}" for what, who in kinds if who)
        return f"{self.asked}: {was}, now there is {self.now}; parents {told}: fit again"


@dataclass(frozen=True)
class Staleness:
    """Every portfolio that a result was built on; true where one of them changed since."""

    upstreams: tuple[Upstream, ...] = ()

    def __bool__(self) -> bool:
        return any(one.stale for one in self.upstreams)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What there is to say of those that are not as they were, a line each."""
        return tuple(u.sentence for u in self.upstreams if u.now is None or u.now_run != u.used_run)

    def about(self, entity: str) -> str | None:
        """What changed for one entity; None where nothing did."""
        for one in self.upstreams:
            if entity in one.changed:
                return f"its parent in {one.asked} has another posterior now, in {one.now}"
            if entity in one.appeared:
                return f"{one.asked} has a posterior of it now, in {one.now}"
            if entity in one.gone:
                return f"{one.asked} has no posterior of it any more, in {one.now}"
        return None

    def to_dict(self) -> list[dict[str, Any]]:
        """Plain values for JSON."""
        return [{**asdict(one), "stale": one.stale} for one in self.upstreams]


def staleness(result: Result) -> Staleness:
    """Compare the portfolios that a result was built on with what is found under their names now.

    Paths of the configuration are looked for from here, then from the folders around the result.
    """
    transfer = result.config.transfer
    rules = () if transfer is None else transfer.rules
    names = dict.fromkeys(rule.name for rule in rules if rule.kind == "portfolio" and rule.name)
    return Staleness(tuple(_upstream(result, name) for name in names))


def _upstream(result: Result, asked: str) -> Upstream:
    used = sorted(
        (n for n in upstreams(result.graph) if n.attributes.get("asked") == asked),
        key=lambda n: str(n.attributes["created"]),
    )
    found = _now(asked, result)
    now, run = (None, None) if found is None else (str(found.path), found.manifest.run_key)
    # A refit's newcomers may have priors of a later result than those who were there before.
    others = [n for n in used if n.attributes["run_key"] != run]
    last: Mapping[str, Any] = (others or used)[-1].attributes if used else {}
    if found is None or (used and not others):
        return Upstream(asked, last.get("folder"), last.get("run_key"), now, run)
    before = {e: key for node in used for e, key in _parents(result, node.id).items()}
    table = found.table("entities.parquet").select(["entity", "status", "fit_key"]).to_pylist()
    there = {row["entity"]: row["fit_key"] for row in table if row["status"] != "failed"}
    changed = tuple(e for e, key in before.items() if e in there and there[e] != key)
    appeared = tuple(e for e in _meant(result, asked) if e in there and e not in before)
    gone = tuple(e for e in before if e not in there)
    return Upstream(asked, last.get("folder"), last.get("run_key"), now, run, changed, appeared, gone)


def _now(asked: str, result: Result) -> Result | None:
    """What is found under a name now."""
    for base in (Path(), *list(result.path.resolve().parents)[:6]):
        with suppress(ResultError):
            found = open_result(located(asked, base))
            found.table("entities.parquet")
            return found
    return None


def _parents(result: Result, node: str) -> dict[str, str]:
    """Entities whose posteriors in an upstream result became priors here, with the fit keys these had."""
    graph = result.graph
    fits = (graph[e.target] for e in graph.edges if e.source == node and e.relation == HELD)
    return {str(fit.attributes.get("entity")): fit.id.partition(":")[2] for fit in fits}


def _meant(result: Result, asked: str) -> list[str]:
    """Entities that a rule sends to a portfolio, and that have a posterior."""
    transfer = result.config.transfer
    rules = () if transfer is None else transfer.rules
    table = result.table("entities.parquet")
    pairs = zip(table["entity"].to_pylist(), table["status"].to_pylist(), strict=True)
    chosen = ((e, first_match(rules, e)) for e, status in pairs if status != "failed")
    return [e for e, i in chosen if i is not None and rules[i].kind == "portfolio" and rules[i].name == asked]
