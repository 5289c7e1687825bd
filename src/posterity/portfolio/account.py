"""What a delivery did to a result, in numbers and sentences that a newcomer understands."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from posterity.portfolio.actionable import counted
from posterity.portfolio.ledger import HISTORY
from posterity.portfolio.past import added
from posterity.portfolio.refit.modes import CARRY, EXACT, NEWCOMER, RESET, REWEIGHT

if TYPE_CHECKING:
    from posterity.portfolio.refit.run import Refitted
    from posterity.portfolio.result import Result

KINDS = ("new", "late", "revised", "repeated", "vanished")
"""Kinds of delivered rows, in the order in which people read them."""

WAYS = (EXACT, CARRY, REWEIGHT, RESET, NEWCOMER)
"""Kinds of updates."""


@dataclass(frozen=True)
class Drifts:
    """What audits found: how many were made, the largest shift (in posterior sds) and worst ratio of sds."""

    audits: int
    max_shift: float | None
    max_ratio: float | None


@dataclass(frozen=True)
class Account:
    """A delivery's effect: versions from `before` (not included) to `version`, its rows by kind, posteriors
    updated by way, entities with and without an update, audits, why exact took the place of another way, and
    whose rows were left out. `decided` counts entities by mark, where there is a rule.
    """

    before: int
    version: int
    rows: Mapping[str, int]
    updates: Mapping[str, int]
    updated: int
    unchanged: int
    drifts: Drifts
    exact_instead: Mapping[str, str]
    left_out: Mapping[str, str]
    notices: tuple[str, ...]
    decided: str = ""

    @property
    def sentence(self) -> str:
        """The whole in a line."""
        if self.version == self.before:
            return f"nothing new: version {self.version} stays, {self.unchanged:,} unchanged"
        ways = ", ".join(f"{n:,} {way}" for way, n in self.updates.items())
        return f"version {self.before} → {self.version}: {ways}; {self.unchanged:,} unchanged"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def account(before: "Result", refitted: "Refitted") -> Account:
    """What a delivery did to the result `before`."""
    after = refitted.result
    since = after.history[after.history["version"] > before.version]
    entities = after.entities["entity"]
    updated = int(entities.isin(since["entity"]).sum())
    changed = since[["late", "revised", "vanished"]].sum(axis=1) > 0  # a notice says so of all at once
    told = since[since["reason"].notna() & since["update"].isin([EXACT, RESET]) & ~changed]
    return Account(
        before=before.version,
        version=after.version,
        rows=in_order(refitted.rows, KINDS),
        updates=in_order(dict(Counter(since["update"])), WAYS),
        updated=updated,
        unchanged=len(entities) - updated,
        drifts=drifts(since),
        exact_instead=dict(zip(told["entity"], told["reason"], strict=True)),
        left_out=left_out(before, after),
        notices=tuple(after.manifest.extra.get("notices", ()))[1:],
        decided="" if (marks := counted(after)) is None else marks.sentence,
    )


def of_version(result: "Result") -> tuple[dict[str, int], dict[str, int], Drifts]:
    """Of one version alone: the delivery's rows by kind, updates by way, and what audits found."""
    rows = in_order(result.manifest.extra.get("rows") or {}, KINDS)
    if not result.has(HISTORY):
        return rows, {}, Drifts(0, None, None)
    own = added(result)
    return rows, in_order(dict(Counter(own["update"])), WAYS), drifts(own)


def drifts(history: pd.DataFrame) -> Drifts:
    """What the audits among these updates found."""
    found = history[history["shift"].notna()]
    if found.empty:
        return Drifts(0, None, None)
    return Drifts(len(found), float(found["shift"].max()), float(found["ratio"].max()))


def left_out(before: "Result", after: "Result") -> dict[str, str]:
    """Entities whose rows a delivery brought without being taken in, with what their reason says anew."""
    old, now = (dict(zip(r.entities["entity"], r.entities["reason"], strict=True)) for r in (before, after))
    found = {}
    for entity, why in now.items():
        said = str(old.get(entity)).split("; ")
        fresh = [part for part in str(why).split("; ") if part not in said]
        if any("left out" in part for part in fresh):
            found[entity] = "; ".join(fresh)
    return found


def in_order(counts: Mapping[str, Any], order: Sequence[str]) -> dict[str, int]:
    """Counts that are not zero, in this order."""
    return {name: int(counts[name]) for name in order if counts.get(name)}
