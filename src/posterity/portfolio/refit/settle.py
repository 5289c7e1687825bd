"""From what became of a refit's updates to what its result says: plan, record, and what it takes over."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posterity.portfolio.ledger import LEDGER, Taken
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import read_panel
from posterity.portfolio.record import Record, config_digest
from posterity.portfolio.refit.arrivals import rows_of
from posterity.portfolio.refit.execute import Updated
from posterity.portfolio.refit.lent import extended, lent
from posterity.portfolio.refit.modes import APPROXIMATE, EXACT, NEWCOMER, RESET
from posterity.portfolio.refit.plan import RefitPlan
from posterity.portfolio.taught import DECLARED, Kept


def settle(plan: RefitPlan, done: Updated) -> RefitPlan:
    """The plan as it came out: entities without a new posterior keep the old one and their old rows."""
    table = plan.inside.result.table("entities.parquet")
    before = dict(zip(table["entity"].to_pylist(), table["fit_key"].to_pylist(), strict=True))
    had = dict(zip(table["entity"].to_pylist(), table["status"].to_pylist(), strict=True))
    lost = {e: why for e, why in done.lost.items() if had[e] != "failed"}
    keys = dict(plan.keys)
    keys |= {e: plan.exact_keys[e] for e in done.exact if e not in lost}
    keys |= {e: before[e] for e in lost}
    left_out = {e: f"its new rows were left out: {why}" for e, why in lost.items()}
    panel = plan.panel
    if lost:
        old, mine = plan.inside.panel, plan.inside.panel
        table = pa.concat_tables(
            [
                panel.table.filter(pa.array(~rows_of(panel, lost))),
                old.table.filter(pa.array(rows_of(mine, lost))),
            ]
        )
        aside = panel.unobserved
        panel = replace(read_panel(plan.config, table).with_reasons({}, panel.notices), unobserved=aside)
    return replace(
        plan,
        keys=keys,
        panel=panel,
        updates={e: u for e, u in plan.updates.items() if e not in lost},
        left_out={**plan.left_out, **left_out},
        planned=plan.run_key,
    )


def record_of(plan: RefitPlan, done: Updated, extra: Mapping[str, Any]) -> Record:
    """What the result says of its version. `plan` is as it came out."""
    result = plan.inside.result
    table = result.table("entities.parquet")
    columns = ["entity", "version", "update", "parent_fit_key", "prior"]
    before = {row["entity"]: row for row in table.select(columns).to_pylist()}
    unchanged = [e for e in before if e not in plan.updates]
    made = {e: (before[e]["version"], before[e]["update"]) for e in unchanged}
    made |= {e: (plan.version, mode_of(plan, done, e)) for e in plan.updates}
    parents = {e: before[e]["parent_fit_key"] for e in unchanged}
    parents |= {e: u.parent for e, u in plan.updates.items()}
    labels = {e: row["prior"] for e, row in before.items() if row["prior"]}
    labels |= {e: plan.learning.of[e].label for e in plan.kept_priors if e not in before}
    exact = {e for e, (_, how) in made.items() if e in plan.updates and how not in APPROXIMATE}
    return Record(
        version=plan.version,
        made=made,
        parents=parents,
        labels=labels,
        priors={e: plan.kept_priors[e].key for e in exact if e in plan.kept_priors},
        kept=_kept(plan, set(labels.values())),
        taken=_taken(plan, done, {e: made[e][1] for e in plan.updates}),
        ledger=result.table(LEDGER),
        appended=_appended(plan),
        history=plan.inside.history,
        graph=result.graph,
        extra=extra,
    )


def _appended(plan: RefitPlan) -> frozenset[str]:
    """Entities whose rows of the version before are all still there as they were."""
    before = plan.inside.result.config
    if (before.data, before.model) != (plan.config.data, plan.config.model):
        return frozenset()
    return frozenset(e for e in plan.panel.entities if not plan.step.changes.get(e))


def mode_of(plan: RefitPlan, done: Updated, entity: str) -> str:
    """How the posterior that holds was made."""
    mode = plan.updates[entity].mode
    if entity not in done.exact:
        return mode
    return RESET if entity in done.drifts else EXACT


def taken_over(plan: RefitPlan, done: Updated, parts: Parts) -> list[pa.Table]:
    """Tables in the form of parts: fits that stay as they are, and carried ones with their old rows."""
    result = plan.inside.result
    there = set(result.table("entities.parquet")["entity"].to_pylist())
    unchanged = [e for e in there if e not in plan.updates]
    found = [lent(result, unchanged, plan.left_out)] if unchanged else []
    keys = [plan.keys[e] for e in plan.updates if mode_of(plan, done, e) in APPROXIMATE]
    wanted = pa.array(keys, pa.string())
    fresh = [t.filter(pc.is_in(t["fit_key"], wanted)) for t in parts.tables()] if keys else []
    carried = [table for table in fresh if table.num_rows]
    if carried:
        found.append(extended(result, pa.concat_tables(carried), plan.config.intervals))
    return found


def _taken(plan: RefitPlan, done: Updated, modes: Mapping[str, str]) -> tuple[Taken, ...]:
    config = config_digest(plan)
    counts = dict(zip(plan.panel.entities, plan.panel.counts.tolist(), strict=True))
    arrived = plan.step.rows
    there = set() if arrived is None else set(arrived.entities)
    found = []
    for entity, how in modes.items():
        update, drift = plan.updates[entity], done.drifts.get(entity)
        new = arrived.rows(entity).time if arrived is not None and entity in there else None
        found.append(
            Taken(
                entity=entity,
                version=plan.version,
                update=how,
                fit_key=plan.keys[entity],
                parent_fit_key=update.parent,
                n_rows=counts[entity],
                new_rows=update.rows,
                first_time=None if new is None else _plain(new[0]),
                last_time=None if new is None else _plain(new[-1]),
                config=config,
                late=update.changes.late,
                revised=update.changes.revised,
                vanished=update.changes.vanished,
                shift=None if drift is None else drift.shift,
                ratio=None if drift is None else drift.ratio,
                reason=done.exact.get(entity) or (update.reason if update.mode != NEWCOMER else None),
            )
        )
    return tuple(found)


def _plain(value: Any) -> Any:
    return value.astype("datetime64[us]").item() if isinstance(value, np.datetime64) else value.item()


def _kept(plan: RefitPlan, labels: set[str]) -> Kept:
    result = plan.inside.result
    names: Mapping[str, str] = result.manifest.extra.get("priors", {})
    files = {
        label: (name, result.text(name)) for label, name in names.items() if label in labels - {DECLARED}
    }
    draws = None
    if result.has("transferred_draws.parquet"):
        table = result.table("transferred_draws.parquet")
        draws = table.filter(pc.is_in(table["prior"], pa.array(sorted(files), pa.string())))
        draws = draws if draws.num_rows else None
    population = json.loads(result.text("population.json")) if result.has("population.json") else None
    return Kept(files, draws, population)
