"""A refit's work: updates first, then whatever the first try did not settle, then the newcomers.

Everything lies in parts, keyed as always, so that a refit that was killed goes on where it was.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posterity.inference.mixture import Mixture
from posterity.inference.posterior import Floats
from posterity.portfolio.dispatch import Dispatch, Listener
from posterity.portfolio.execute import Executed, Stage, fit_wave, stage_of
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Work
from posterity.portfolio.prior import Prior, Provenance
from posterity.portfolio.refit.carried import carry, far, old_posteriors
from posterity.portfolio.refit.drift import Drift, drift
from posterity.portfolio.refit.lent import lent
from posterity.portfolio.refit.modes import APPROXIMATE, CARRY, NEWCOMER, REWEIGHT
from posterity.portfolio.refit.plan import RefitPlan
from posterity.portfolio.runners import Runner
from posterity.portfolio.shard import Report

PREVIOUS = "previous"


@dataclass(frozen=True)
class Updated:
    """What became of a refit's updates. `exact` are those whose posterior is the exact one though another
    was tried, with the reason; `drifts` what audits found; `lost` have no new posterior, and keep the old.
    """

    executed: Executed
    exact: Mapping[str, str] = field(default_factory=dict)
    drifts: Mapping[str, Drift] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)


def execute_refit(
    plan: RefitPlan, folder: Path, runner: Runner, workers: int, listen: Listener = lambda _: None
) -> Updated:
    """Compute every posterior that the plan asks for and that the parts in `folder` do not hold yet."""
    parts, stages, reports = Parts(folder), list[Stage](), list[Report]()

    def fit(name: str, work: Iterable[Work], priors: Mapping[str, Prior]) -> None:
        every, begin = list(work), time.perf_counter()
        done = parts.done()
        waiting = [w for w in every if w.key not in done]
        found = Dispatch(plan, parts, runner, workers, listen, priors).fit(waiting)
        reports.extend(found)
        if every:
            stages.append(
                stage_of(name, every, len(every) - len(waiting), found, time.perf_counter() - begin)
            )

    approximate = [e for e, u in plan.updates.items() if u.mode in APPROXIMATE]
    direct = [
        e
        for e, u in plan.updates.items()
        if u.mode not in APPROXIMATE and (u.mode != NEWCOMER or e in plan.kept_priors)
    ]
    kept = {p.key: p for p in plan.kept_priors.values()}
    refused = _approximate(plan, approximate, parts, runner, fit)
    fit("exact", (exact_work(plan, e) for e in direct), kept)
    rows = part_rows(parts, [plan.keys[e] for e in approximate])
    tried = {e: rows[plan.keys[e]] for e in approximate if e not in refused}
    failed = refused | {e: str(row["reason"]) for e, row in tried.items() if not _posterior(row)}
    if plan.config.refit.mode == CARRY:
        failed |= _strayed(plan, {e: row for e, row in tried.items() if e not in failed})
    audited = [e for e in approximate if plan.updates[e].audited and e not in failed]
    fit("instead", (exact_work(plan, e) for e in failed), kept)
    fit("audit", (exact_work(plan, e) for e in audited), kept)
    if plan.waves:
        whole = Parts(folder, [base_part(plan)])
        for wave in plan.waves:
            begin = time.perf_counter()
            done = parts.done()
            waiting = tuple(e for e in wave.entities if plan.keys[e] not in done)
            again = replace(wave, entities=waiting)
            found = fit_wave(again, plan, whole, runner, workers, listen) if waiting else []
            reports.extend(found)
            stages.append(
                stage_of(
                    wave.name,
                    wave.entities,
                    len(wave.entities) - len(waiting),
                    found,
                    time.perf_counter() - begin,
                )
            )
    executed = Executed(sum(stage.resumed for stage in stages), tuple(reports), tuple(stages))
    return settled(plan, parts, executed, failed, audited)


def settled(
    plan: RefitPlan, parts: Parts, executed: Executed, failed: Mapping[str, str], audited: Sequence[str]
) -> Updated:
    """Which posterior of each entity holds."""
    keys = [plan.exact_keys[e] for e in plan.updates if plan.updates[e].mode != NEWCOMER]
    rows = part_rows(parts, [*keys, *(plan.keys[e] for e in audited)])
    refit = plan.config.refit
    drifts: dict[str, Drift] = {}
    exact: dict[str, str] = {}
    lost: dict[str, str] = {}
    for entity in audited:
        right = rows[plan.exact_keys[entity]]
        if not _posterior(right):
            continue
        found = drift(_moments(rows[plan.keys[entity]]), _moments(right))
        drifts[entity] = found
        if found.shift > refit.max_shift or found.ratio > refit.max_ratio:
            exact[entity] = f"an audit found {found}"
    for entity, update in plan.updates.items():
        there = rows.get(plan.exact_keys[entity])
        if entity in failed:
            exact[entity] = f"{update.mode}: {failed[entity]}"
        # A newcomer has nothing to keep, and an audit that failed takes nothing away.
        if there is None or _posterior(there) or update.mode == NEWCOMER or entity in audited:
            continue
        lost[entity] = str(there["reason"])
    return Updated(executed, exact, drifts, lost)


def _approximate(
    plan: RefitPlan, entities: Sequence[str], parts: Parts, runner: Runner, fit: Any
) -> dict[str, str]:
    """Carry or reweight the old posteriors of these entities; those that cannot be, each with the reason."""
    done = parts.done()
    waiting = [e for e in entities if plan.keys[e] not in done]
    if not waiting:
        fit(plan.config.refit.mode, [plan.work_of(e, plan.config.refit.mode) for e in entities], {})
        return {}
    mode, by_draws = plan.config.refit.mode, plan.config.refit.mode == REWEIGHT
    old = list(old_posteriors(plan.inside.result, {e: plan.discount(e) for e in waiting}))
    carried = carry(plan.description, plan.panel.rows(waiting[0]), old, runner, particles=by_draws)
    priors: dict[str, Prior] = {}
    work, refused = [], {}
    for entity in entities:
        if entity not in carried:
            work.append(plan.work_of(entity, mode))
            continue
        found = carried[entity]
        if by_draws and found.particles is None:
            refused[entity] = "its draws do not tell all unknowns of the model"
        elif found.doubt is not None:
            refused[entity] = found.doubt
        else:
            prior = _as_prior(plan, entity, found.prior)
            priors[prior.key] = prior
            work.append(replace(plan.work_of(entity, mode, prior.key), particles=found.particles))
    fit(mode, work, priors)
    return refused


def _strayed(plan: RefitPlan, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Carried posteriors that are too far from those they came from, each with the reason."""
    if not rows:
        return {}
    factors = plan.inside.result.table("factors.parquet")
    at = pc.index_in(pa.array(list(rows), pa.string()), factors["entity"].combine_chunks())
    before = factors.select(["mean", "covariance"]).take(at).to_pylist()
    found = {}
    for (entity, row), old in zip(rows.items(), before, strict=True):
        away = far(matrix(old["mean"], old["covariance"]), _moments(row))
        if away:
            found[entity] = away
    return found


def _as_prior(plan: RefitPlan, entity: str, mixture: Mixture) -> Prior:
    """The previous posterior as the prior of the new rows."""
    from posterity.inference.compiled import compiled

    update = plan.updates[entity]
    rows = int(plan.panel.counts[plan.panel.position(entity)]) - update.rows
    return Prior(
        source=PREVIOUS,
        entries=compiled(plan.description).unconstrained_names,
        mixture=mixture,
        vague=0.0,
        rows=float(rows),
        model=plan.description.key,
        provenance=Provenance(taught_by=(update.parent or "",), entities=(entity,)),
    )


def exact_work(plan: RefitPlan, entity: str) -> Work:
    """All rows of an entity under the prior that it began with."""
    prior = plan.kept_priors.get(entity)
    return plan.work_of(entity, "exact", "" if prior is None else prior.key)


def base_part(plan: RefitPlan) -> pa.Table:
    """What the base holds of everybody, for those who learn from them."""
    result = plan.inside.result
    return lent(result, result.table("entities.parquet")["entity"].to_pylist(), {})


def part_rows(parts: Parts, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Status, reason and moments of what parts hold of these fit keys."""
    wanted = pa.array(keys, pa.string())
    columns = ["fit_key", "status", "reason", "factor_mean", "factor_covariance"]
    return {
        row["fit_key"]: row
        for table in parts.tables()
        for row in table.select(columns).filter(pc.is_in(table["fit_key"], wanted)).to_pylist()
    }


def _posterior(row: Mapping[str, Any]) -> bool:
    return bool(row["status"] != "failed")


def _moments(row: Mapping[str, Any]) -> tuple[Floats, Floats]:
    return matrix(row["factor_mean"], row["factor_covariance"])


def matrix(mean: Sequence[float], covariance: Sequence[float]) -> tuple[Floats, Floats]:
    """Moments as tables hold them as arrays (D,) and (D, D)."""
    size = len(mean)
    return np.array(mean), np.array(covariance).reshape(size, size)
