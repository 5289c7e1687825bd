"""What a refit will do: who is updated how, on which rows, under which prior; keys of everything."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from posterity.config import Config
from posterity.errors import ConfigError
from posterity.lineage import ENGINE_VERSION, digest, fit_key
from posterity.models import Description, build, describe
from posterity.panel import Rows
from posterity.panel.chunks import Clock
from posterity.portfolio import actionable
from posterity.portfolio.keys import keyed, settings
from posterity.portfolio.plan import Plan, Work, kept
from posterity.portfolio.predict import described
from posterity.portfolio.prior import Prior
from posterity.portfolio.refit.arrivals import Step
from posterity.portfolio.refit.inside import Inside
from posterity.portfolio.refit.modes import APPROXIMATE, EXACT, NEWCOMER
from posterity.portfolio.refit.updates import Update, updates
from posterity.portfolio.rules import Source, Sources
from posterity.portfolio.settling import sources_for
from posterity.portfolio.taught import DECLARED
from posterity.portfolio.waves import in_waves


@dataclass(frozen=True)
class RefitPlan(Plan):
    """A plan over everything inside after one step, of which only entities with an update cost anything.

    `keys` are those of the posteriors that the result is meant to have, `exact_keys` those of the exact
    posteriors that may take their place; `waves` are of the newcomers that have to be taught.
    """

    inside: Inside
    step: Step
    updates: Mapping[str, Update]
    exact_keys: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    planned: str | None = None

    @property
    def version(self) -> int:
        """Of the result: one more than the base's if anything changes."""
        return self.inside.version + bool(self.updates)

    @cached_property
    def run_key(self) -> str:
        """Digest of everything that decides the result, the version it builds on included."""
        if self.planned is not None:  # what was planned identifies a run, whatever came of it
            return self.planned
        base = self.inside.result.manifest.run_key
        left_out = dict(self.left_out)
        return digest({"base": base, "version": self.version, "run": super().run_key, "left out": left_out})

    @cached_property
    def clock(self) -> Clock | None:
        """The base's."""
        return self.inside.clock

    @cached_property
    def kept_priors(self) -> Mapping[str, Prior]:
        """The transferred priors that exact updates and newcomers have from the base, by entity."""
        return kept_priors(self.inside, self.updates, self.learning)

    def work_of(self, entity: str, mode: str, prior: str = "", discount: float = 1.0) -> Work:
        """The work of an update: all rows under the original prior, or the new ones on top of the old."""
        rows, update = self.panel.rows(entity), self.updates[entity]
        if mode not in APPROXIMATE:
            weights = self._weights(rows)
            own = str(self.panel.digests[self.panel.position(entity)])
            return Work(entity, self.exact_keys[entity], own, rows, prior, weights)
        assert self.step.rows is not None
        own = str(self.step.rows.digests[self.step.rows.position(entity)])
        before = rows.n - update.rows
        context = min(before, self.description.context)
        weights = np.concatenate([np.zeros(context), np.ones(update.rows)]) if context else None
        part = rows.after(before - context)
        return Work(entity, self.keys[entity], own, part, prior, weights, context)

    def discount(self, entity: str) -> float:
        """What the old posterior of an entity counts for: `forget` to the power of the chunks gone by."""
        forget, cut = self.config.refit.forget, self.clock
        rows = self.panel.rows(entity)
        if forget == 1 or cut is None or rows.time is None:
            return forget
        ends = cut.numbers(rows.time[[rows.n - self.updates[entity].rows - 1, rows.n - 1]])
        return float(forget ** (ends[1] - ends[0]))

    def _weights(self, rows: Rows) -> Any:
        """What rows count for when all are fitted again; None where all count once."""
        if self.config.refit.forget == 1 or self.clock is None or rows.time is None:
            return None
        chunk = self.clock.numbers(rows.time)
        return self.config.refit.forget ** (chunk.max() - chunk).astype(np.float64)


def make_refit_plan(inside: Inside, step: Step, left_out: Mapping[str, str] | None = None) -> RefitPlan:
    """Decide everything about one step. Raises ConfigError for what a refit cannot do."""
    config, panel = inside.config, step.panel
    description = describe(config, panel)
    actionable.check(config, build(description))
    decided = updates(inside, step, everybody=changed(inside, description))
    known = [e for e in panel.entities if e not in decided or decided[e].mode != NEWCOMER]
    sources = sources_for(
        config, description, panel, panel.entities, dict.fromkeys(known, Source()) if known else None
    )
    keep = kept(config, len(panel.entities))
    fresh, learning = keyed(config, description, panel, sources, keep)
    plan = RefitPlan(
        config=config,
        description=description,
        panel=panel.with_reasons({}, sources.notices),
        keys={},
        keep=keep,
        learning=learning,
        waves=(),
        inside=inside,
        step=step,
        updates={e: u for e, u in decided.items() if e not in panel.reasons},
        exact_keys={},
        left_out=left_out or {},
    )
    return with_keys(plan, fresh)


def with_keys(plan: RefitPlan, fresh: Mapping[str, str]) -> RefitPlan:
    """The plan with the keys of its posteriors; `fresh` are those of first fits."""
    table = plan.inside.result.table("entities.parquet")
    before = dict(zip(table["entity"].to_pylist(), table["fit_key"].to_pylist(), strict=True))
    exact = {e: _exact_key(plan, e, fresh) for e in plan.updates}
    keys = {
        e: before.get(e) or fresh[e]
        if e not in plan.updates
        else _carried_key(plan, e)
        if plan.updates[e].mode in APPROXIMATE
        else exact[e]
        for e in plan.panel.entities
    }
    taught = [e for e, u in plan.updates.items() if u.mode == NEWCOMER and e not in plan.kept_priors]
    return replace(plan, keys=keys, exact_keys=exact, waves=in_waves(plan.learning, taught))


def _exact_key(plan: RefitPlan, entity: str, fresh: Mapping[str, str]) -> str:
    """Of the posterior under the original prior: that of a first fit where the prior is declared."""
    prior = plan.kept_priors.get(entity)
    weights = plan._weights(plan.panel.rows(entity))
    if prior is None and weights is None:
        return fresh[entity]
    numbers = {name: value.tolist() for name, value in plan.description.numbers.items()}
    made: dict[str, Any] = {"declared": numbers, "kept": None if prior is None else prior.key}
    if weights is not None:
        made["weights"] = weights.tolist()
    own = str(plan.panel.digests[plan.panel.position(entity)])
    return _key(plan, made, own, transferred=prior is not None)


def _carried_key(plan: RefitPlan, entity: str) -> str:
    """Of a posterior that builds on the one before."""
    update, refit = plan.updates[entity], plan.config.refit
    assert plan.step.rows is not None
    made: dict[str, Any] = {"carried": update.parent, "mode": update.mode, "discount": plan.discount(entity)}
    if update.audited:
        made["audited"] = [refit.max_shift, refit.max_ratio]
    own = str(plan.step.rows.digests[plan.step.rows.position(entity)])
    return _key(plan, made, own, transferred=True)


def _key(plan: RefitPlan, prior: dict[str, Any], data: str, *, transferred: bool) -> str:
    inference = settings(plan.config, plan.keep, transferred=transferred)
    return fit_key(
        model=plan.description.key, prior=prior, data=data, inference=inference, engine=ENGINE_VERSION
    )


def kept_priors(inside: Inside, decided: Mapping[str, Update], learning: Sources) -> dict[str, Prior]:
    """The transferred priors of entities that keep theirs, and of newcomers who learn what others learned.

    A population is learned again only when newcomers need it and other entities are established than those
    that taught it.
    """
    result = inside.result
    table = result.table("entities.parquet")
    labels = dict(zip(table["entity"].to_pylist(), table["prior"].to_pylist(), strict=True))
    population = result.population
    same = population is not None and set(population.teachers) == set(learning.teachers)
    found = {}
    for entity, update in decided.items():
        if update.mode == NEWCOMER:
            source = learning.of[entity]
            label = source.label if same and source.kind == "population" else None
        else:
            label = labels[entity]
        if label and label != DECLARED and (prior := result.prior_called(label)) is not None:
            found[entity] = prior
    return found


def changed(inside: Inside, description: Description) -> str | None:
    """Why everybody has to be fitted again; None where the configuration asks for the same as before."""
    before = inside.result.config
    old = described(inside.result)
    if old.key != description.key:
        return "the model is another than before"
    if any(not np.array_equal(old.numbers[n], v) for n, v in description.numbers.items()):
        return "the declared priors are others than before"
    if before.intervals != inside.config.intervals:
        return "the intervals are others than before"
    return None


def check(config: Config) -> None:
    """Raise ConfigError for a mode that the configuration's pooling does not leave room for."""
    refit = config.refit
    together = together_because(config)
    if together and refit.mode != EXACT:
        raise ConfigError(
            [f"refit.mode: {refit.mode!r} updates entities one by one, and {together}; use exact"]
        )
    if together and refit.forget < 1:
        raise ConfigError(
            [f"refit.forget: {refit.forget} weighs an entity's own rows, and {together}; use 1"]
        )


def together_because(config: Config) -> str | None:
    """Why no entity can be updated without the others; None where each can."""
    if config.inference.pooling == "joint":
        return "inference.pooling: joint has one posterior of all of them"
    if config.transfer is not None and config.transfer.pool.shrink:
        return "transfer.pool.shrink makes the posterior of each depend on all rows"
    return None
