"""How each entity of a step is updated, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from posterity.config import Config
from posterity.portfolio.refit.arrivals import Changes, Step
from posterity.portfolio.refit.inside import Inside
from posterity.portfolio.refit.modes import CARRY, EXACT, NEWCOMER, REWEIGHT

BULK = 8
"""Old rows to a new one from which on a posterior is carried. Below, new rows say much beside the old ones
and the old posterior's shape matters most; and there an exact fit has few rows to look at."""


@dataclass(frozen=True, slots=True)
class Update:
    """`mode` is fit (a newcomer), exact, carry or reweight; `reason` says why not the configured one.

    `parent` is the fit key of the posterior before, `rows` how many are taken in. Where `audited`, the exact
    posterior is computed as well.
    """

    mode: str
    rows: int
    parent: str | None = None
    reason: str | None = None
    changes: Changes = field(default_factory=Changes)
    audited: bool = False


def updates(inside: Inside, step: Step, *, everybody: str | None = None) -> dict[str, Update]:
    """The update of every entity that has one; `everybody` says why all others are fitted again too."""
    config = inside.config
    table = inside.result.table("entities.parquet")
    before = {r["entity"]: r for r in table.select(["entity", "status", "fit_key", "n_rows"]).to_pylist()}
    arrived = (
        {} if step.rows is None else dict(zip(step.rows.entities, step.rows.counts.tolist(), strict=True))
    )
    streaks = _streaks(inside) if config.refit.mode != EXACT and config.refit.audit else {}
    found = {}
    for entity in step.panel.entities:
        rows, changes = arrived.get(entity, 0), step.changes.get(entity, Changes())
        if entity not in before:
            found[entity] = Update(NEWCOMER, rows)
        elif rows or changes or everybody:
            found[entity] = _update(config, before[entity], rows, changes, everybody, streaks.get(entity, 0))
    return found


def _update(
    config: Config, before: Mapping[str, Any], rows: int, changes: Changes, everybody: str | None, streak: int
) -> Update:
    parent, mode = before["fit_key"], config.refit.mode
    if before["status"] == "failed":
        return Update(EXACT, rows, parent, "it had no posterior", changes)
    if changes:
        return Update(EXACT, rows, parent, str(changes), changes)
    if everybody:
        return Update(EXACT, rows, parent, everybody)
    old = before["n_rows"]
    if mode == CARRY and old < BULK * rows:
        return Update(EXACT, rows, parent, f"{rows} new rows are many beside {old} old ones", changes)
    due = mode != EXACT and config.refit.audit is not None and streak + 1 >= config.refit.audit
    return Update(mode, rows, parent, audited=due)


def _streaks(inside: Inside) -> dict[str, int]:
    """Updates of every entity since the exact posterior was last computed."""
    found: dict[str, int] = {}
    columns = inside.history.select(["entity", "update", "shift"])
    for entity, update, shift in zip(*(c.to_pylist() for c in columns.columns), strict=True):
        approximate = update in (CARRY, REWEIGHT) and shift is None
        found[entity] = found.get(entity, 0) + 1 if approximate else 0
    return found
