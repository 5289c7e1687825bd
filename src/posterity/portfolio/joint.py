"""A whole portfolio as one joint model: tables as of separate fits, and the population beside them."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from posterity.config.transfer import Transfer
from posterity.inference.compiled import CompiledModel, Inputs, compiled, inputs_of
from posterity.inference.declared import declared_moments
from posterity.inference.fit import Seeds
from posterity.inference.gates import open_gates
from posterity.inference.joint import JointDraws
from posterity.inference.joint import fit_joint as fit_model
from posterity.inference.posterior import Posterior
from posterity.inference.transferred import flat
from posterity.models.arrays import arrays
from posterity.models.joint import MEAN, SHARED, JointModel, Pooling, build_joint
from posterity.portfolio import bound
from posterity.portfolio.dispatch import Listener
from posterity.portfolio.entity import EntityFit, fitted
from posterity.portfolio.execute import Executed, Stage
from posterity.portfolio.learning import FILE, population_key
from posterity.portfolio.parts import Parts, write
from posterity.portfolio.plan import Plan, Work
from posterity.portfolio.population import Population
from posterity.portfolio.population.prepare import entries_of, transferred
from posterity.portfolio.runners import cores
from posterity.portfolio.shard import Report, part_of, report
from posterity.portfolio.store import atomic
from posterity.portfolio.tables import Layout

CHUNK = 250
"""Entities summarised at once: their draws are all that is copied."""
STORED = 2_000
"""Draws of the population that its file keeps."""
LOOKED_AT = 50
"""Entities whose rows say what one row is worth."""


def fit_joint(plan: Plan, folder: Path, listen: Listener = lambda _: None) -> Executed:
    """Fit all entities of a plan in one model and write their parts; nothing where parts hold them all.

    Raises ModelError where the structure cannot be joined or the method cannot fit it.
    """
    begin = time.perf_counter()
    parts = Parts(folder)
    every = tuple(plan.work())
    if not every or {work.key for work in every} <= parts.done():
        return Executed(len(every), (), (Stage("joint", len(every), len(every), _statuses(()), 0.0),))
    model = compiled(plan.description)
    joint = joint_model(plan, model, every)
    inference = plan.config.inference
    workers = cores() if plan.config.execution.workers == "auto" else plan.config.execution.workers
    seed = np.random.SeedSequence([inference.seed, int(plan.run_key[:15], 16)])
    drawn = fit_model(joint, inference, seed, workers)
    with atomic(parts.folder / FILE) as file:
        content = {"key": population_key(plan), **population(plan, joint, drawn, every).to_dict()}
        file.write(json.dumps(content).encode())
    bound.keep(parts.folder, drawn.elbo)
    reports: list[Report] = []
    for start in range(0, len(every), CHUNK):
        reports.append(_chunk(plan, parts, model, joint, drawn, every, slice(start, start + CHUNK)))
        listen(reports[-1])
    stage = Stage("joint", len(every), 0, _statuses(reports), time.perf_counter() - begin)
    return Executed(0, tuple(reports), (stage,))


def joint_model(plan: Plan, model: CompiledModel, every: Sequence[Work]) -> JointModel:
    """The joint model of a plan's entities."""
    pool = (plan.config.transfer or Transfer()).pool
    description = plan.description
    rows = [arrays(description, work.rows) for work in every]
    kinds = {v.name: v.dtype for v in model.built.model.data_vars}
    data = {name: np.concatenate([r[name] for r in rows]).astype(kinds[name]) for name in rows[0]}
    owner = np.repeat(np.arange(len(every)), [work.rows.n for work in every])
    entries = entries_of(model, plan.config)
    mean, sd = declared_moments(model, _inputs(plan, model, every[0]))
    inference = plan.config.inference
    pooling = Pooling(
        entries.partial,
        entries.shared,
        entries.independent,
        mean,
        sd,
        pool.spread,
        pool.covariance == "full",
        inference.centered,
    )
    built = replace(model.built, description=plan.description)
    return build_joint(built, pooling, data, owner, len(every), inference.minibatch)


def _inputs(plan: Plan, model: CompiledModel, work: Work) -> Inputs:
    # The model may have been compiled for another configuration of the same structure.
    return inputs_of(model, {**arrays(model.description, work.rows), **plan.description.numbers})


def _chunk(
    plan: Plan,
    parts: Parts,
    model: CompiledModel,
    joint: JointModel,
    drawn: JointDraws,
    every: Sequence[Work],
    chosen: slice,
) -> Report:
    """Summaries of some entities, written as a part."""
    begin = time.perf_counter()
    works = every[chosen]
    thetas = joint.thetas(drawn.draws, chosen)
    share = drawn.seconds / len(every)
    fits = [_fit(plan, model, work, thetas[:, :, i], drawn, share) for i, work in enumerate(works)]
    layout = Layout(plan.config.intervals, plan.keep, plan.time_type, plan.config.abstain)
    name = f"{works[0].key[:12]}-{len(works)}"
    write(parts.place(name), part_of(fits, model, layout))
    return report(name, fits, share * len(works) + time.perf_counter() - begin)


def _fit(
    plan: Plan, model: CompiledModel, work: Work, thetas: Any, drawn: JointDraws, seconds: float
) -> EntityFit:
    """One entity's posterior (C, S, D) and its summaries, as a fit of its own would have them."""
    begin = time.perf_counter()
    chains, size, dimension = thetas.shape
    inputs = _inputs(plan, model, work)
    thetas = np.ascontiguousarray(thetas)
    values = model.parameters(thetas.reshape(-1, dimension), inputs).reshape(chains, size, -1)
    outcome = Posterior(drawn.method, thetas, values, drawn.diagnostics(values))
    reasons = (*open_gates(outcome, plan.config.gates), *drawn.reasons)
    seeds = Seeds.of(plan.config.inference.seed, work.digest)
    fit = fitted(model, work, inputs, outcome, reasons, plan.config.intervals, seeds)
    return replace(fit, seconds=seconds + time.perf_counter() - begin)


def population(plan: Plan, joint: JointModel, drawn: JointDraws, every: Sequence[Work]) -> Population:
    """The joint model's population as the value that the separate route learns, thinned to `STORED` draws."""
    p, model = joint.pooling, compiled(plan.description)
    at = np.sort(np.concatenate([p.partial, p.shared]))
    total = int(np.prod(next(iter(drawn.draws.values())).shape[:2]))
    kept = np.arange(min(total, STORED)) * total // min(total, STORED)

    def thinned(values: Any) -> Any:
        return values.reshape(total, *values.shape[2:])[kept]

    size = len(kept)
    mean = thinned(drawn.draws[MEAN]) if len(p.partial) else np.empty((size, 0))
    lower = thinned(joint.lower(drawn.draws)) if len(p.partial) else np.empty((size, 0, 0))
    shared = thinned(drawn.draws[SHARED]) if len(p.shared) else np.empty((size, 0))
    return Population(
        entries=tuple(model.unconstrained_names[i] for i in at),
        partial=tuple(np.searchsorted(at, p.partial).tolist()),
        shared=tuple(np.searchsorted(at, p.shared).tolist()),
        groups=(),
        mean=mean,
        group_means=mean[:, None],
        lower=lower,
        between=np.empty((size, 0)),
        shared_values=shared,
        information=_information(plan, joint, drawn, every),
        declared_mean=p.mean[at],
        declared_sd=p.sd[at],
        covariance="full" if p.full else "diagonal",
        khat=None if np.isnan(drawn.khat) else drawn.khat,
        sweeps=0,
        converged=not drawn.reasons,
        taught_by=tuple(work.key for work in every),
        teachers=tuple(work.entity for work in every),
        rows=sum(work.rows.n for work in every),
        notes=(f"learned by {drawn.method}", *drawn.reasons),
    )


def _information(plan: Plan, joint: JointModel, drawn: JointDraws, every: Sequence[Work]) -> Any:
    """Information of one row about the transferred entries, at the entities' posterior means."""
    model = compiled(transferred(plan.config, plan.description))
    numbers = {**plan.description.numbers, **flat(len(model.transferred))}
    step = max(1, len(every) // LOOKED_AT)
    total, rows = np.zeros((len(model.transferred),) * 2), 0
    for i in range(0, len(every), step):
        centre = joint.thetas(drawn.draws, slice(i, i + 1)).mean(axis=(0, 1, 2))
        inputs = inputs_of(model, {**arrays(model.description, every[i].rows), **numbers})
        hessian = model.evaluate(centre, inputs)[2][np.ix_(model.transferred, model.transferred)]
        values, vectors = np.linalg.eigh(hessian)
        total += (vectors * np.maximum(values, 0)) @ vectors.T
        rows += every[i].rows.n
    return total / rows


def _statuses(reports: Sequence[Report]) -> dict[str, int]:
    return {s: sum(r.status.get(s, 0) for r in reports) for s in ("ok", "flagged", "failed")}
