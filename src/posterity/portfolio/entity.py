"""One entity, from its rows to everything that a result holds about it."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from posterity.config.schema import Gates, Inference, percent
from posterity.errors import PosterityError
from posterity.inference.compiled import CompiledModel, Inputs, inputs_of
from posterity.inference.fit import STARTS, Seeds, fit
from posterity.inference.gates import open_gates
from posterity.inference.posterior import Failure, Floats, Posterior
from posterity.inference.reweight import reweight
from posterity.inference.transferred import flat
from posterity.inference.transferred import numbers as mixture_numbers
from posterity.models.arrays import arrays, scaled, unscaled
from posterity.models.build import TARGET
from posterity.models.description import Numbers
from posterity.portfolio.agreement import agreement, check, sentence
from posterity.portfolio.answering import answers
from posterity.portfolio.classes import Answers
from posterity.portfolio.plan import Work
from posterity.portfolio.population.pooled import fit_pooled

if TYPE_CHECKING:
    from posterity.portfolio.population.pooled import Pooling
    from posterity.portfolio.prior import Prior

PREDICTIVE_DRAWS = 2_000
PREDICTIVE_CELLS = 100_000
FEWEST_PREDICTIVE = 500
"""Draws × rows of a predictive summary: entities with many rows get fewer draws, as what is seen of them is
the band that the rows make together. A bound of 90 % from 500 draws is off by a tenth of a predictive sd."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean, median and equal-tailed bounds of draws. K columns, I interval masses."""

    mean: Floats  # (K,)
    median: Floats  # (K,)
    lower: Floats  # (I, K)
    upper: Floats  # (I, K)

    def columns(self, prefix: str, intervals: tuple[float, ...]) -> dict[str, Floats]:
        """As columns of a table: `mean`, `median`, `lower_90`, `upper_90`, ..., each with the prefix."""
        found = {f"{prefix}mean": self.mean, f"{prefix}median": self.median}
        for mass, lower, upper in zip(intervals, self.lower, self.upper, strict=True):
            found |= {f"{prefix}lower_{percent(mass)}": lower, f"{prefix}upper_{percent(mass)}": upper}
        return found

    def after(self, rows: int) -> "Summary":
        """Without the first columns."""
        if not rows:
            return self
        return Summary(self.mean[rows:], self.median[rows:], self.lower[:, rows:], self.upper[:, rows:])


@dataclass(frozen=True, slots=True)
class EntityFit:
    """The outcome of one entity: a status, and where there is a posterior its summaries.

    With a transferred prior, `conflict_p` says how likely rows as far from it are, and `vague_weight` how
    much of the posterior is the vague component's.
    """

    work: Work
    status: str
    reason: str | None
    outcome: Posterior | Failure
    seconds: float
    predictive: Summary | None = None
    expected: Summary | None = None
    coverage: Floats | None = None  # (I,)
    mae: float | None = None
    answers: Answers | None = None
    prior: "Prior | None" = None
    conflict_p: float | None = None
    vague_weight: float | None = None


def fit_entity(
    model: CompiledModel,
    work: Work,
    numbers: Numbers,
    inference: Inference,
    gates: Gates,
    intervals: tuple[float, ...],
    prior: "Prior | None" = None,
    pooling: "Pooling | None" = None,
) -> EntityFit:
    """Fit one entity and summarise its posterior; whatever goes wrong with the entity is a reason, never
    an exception.

    `numbers` are those of the declared priors. With a `prior`, `model` is a structure that takes its
    parameters as transferred; with `pooling` too, the entity taught the population that the prior comes from.
    """
    begin = time.perf_counter()
    try:
        check(model, prior)
        given = numbers if prior is None else {**numbers, **mixture_numbers(prior.mixture)}
        data = arrays(model.description, work.rows, work.weights)
        inputs = inputs_of(model, {**data, **given})
        seeds = Seeds.of(inference.seed, work.digest)
        if work.particles is not None:
            rng = np.random.default_rng(seeds.laplace)
            likelihood = inputs_of(model, {**data, **numbers, **flat(model.dimension)})
            outcome = reweight(model, likelihood, work.particles, rng, gates)
        elif pooling is None:
            # Starts come from the prior alone, so they have the root seed, not the entity's.
            starts = model.starts(inputs, inference.seed, STARTS)
            outcome = fit(model, inputs, starts, seeds, inference, gates)
        else:
            outcome = fit_pooled(model, work.entity, work.rows, numbers, pooling, seeds, inference, gates)
        if isinstance(outcome, Failure):
            return EntityFit(
                work, "failed", _failed(outcome), outcome, time.perf_counter() - begin, prior=prior
            )
        # What an entity has taught itself it cannot contradict.
        judged = prior if pooling is None else None
        target = scaled(counted(work), model.description.target_scale)
        agreed = agreement(model, inputs, target, judged, outcome, inference, seeds)
        reasons = (*open_gates(outcome, gates), *outcome.reasons, *sentence(agreed, prior, gates))
        return replace(
            fitted(model, work, inputs, outcome, reasons, intervals, seeds),
            seconds=time.perf_counter() - begin,
            prior=prior,
            conflict_p=agreed.conflict_p,
            vague_weight=agreed.vague_weight,
        )
    except PosterityError as error:
        failure = Failure(str(error))
        return EntityFit(work, "failed", failure.reason, failure, time.perf_counter() - begin, prior=prior)
    except Exception as error:  # one entity must never take its shard with it
        failure = Failure(f"unexpected {type(error).__name__}: {error}", unexpected=True)
        return EntityFit(work, "failed", failure.reason, failure, time.perf_counter() - begin, prior=prior)


def fitted(
    model: CompiledModel,
    work: Work,
    inputs: Inputs,
    outcome: Posterior,
    reasons: tuple[str, ...],
    intervals: tuple[float, ...],
    seeds: Seeds,
) -> EntityFit:
    """The outcome of an entity that has a posterior; `reasons`, if there are any, flag it."""
    predictive, expected, found = _predictive(model, inputs, outcome, intervals, seeds)
    predictive, expected = predictive.after(work.context), expected and expected.after(work.context)
    target = counted(work)[work.context :]
    inside = (predictive.lower <= target) & (target <= predictive.upper)
    return EntityFit(
        work,
        status="flagged" if reasons else "ok",
        reason="; ".join(reasons) or None,
        outcome=outcome,
        seconds=0.0,
        predictive=predictive,
        expected=expected,
        coverage=inside.mean(axis=1),
        mae=float(np.abs(predictive.median - target).mean()),
        answers=found and found.after(work.context),
    )


def counted(work: Work) -> Floats:
    """The observed target (n,), missing where a row is only context."""
    assert work.rows.target is not None
    if not work.context:
        return work.rows.target
    target = work.rows.target.copy()
    target[: work.context] = np.nan
    return target


def _predictive(
    model: CompiledModel, inputs: Inputs, outcome: Posterior, intervals: tuple[float, ...], seeds: Seeds
) -> tuple[Summary, Summary | None, Answers | None]:
    """Summaries of new observations and of the expected curve at the observed rows, and their classes."""
    flat = outcome.draws.reshape(-1, outcome.draws.shape[-1])
    rows = inputs[model.input_names.index(TARGET)].size
    chosen = flat[:: max(1, -(-len(flat) // predictive_draws(rows)))]
    observed, expected = model.predict(chosen, inputs, np.random.default_rng(seeds.predict))
    observed, expected = unscaled(model.description, observed), unscaled(model.description, expected)
    curve = None if expected is None else summarise(expected, intervals)
    return summarise(observed, intervals), curve, answers(model, chosen, inputs, observed, expected)


def predictive_draws(rows: int) -> int:
    """How many draws predictive summaries of so many rows use."""
    return max(FEWEST_PREDICTIVE, min(PREDICTIVE_DRAWS, PREDICTIVE_CELLS // max(rows, 1)))


def summarise(draws: NDArray[np.generic], intervals: tuple[float, ...]) -> Summary:
    """Mean, median and equal-tailed bounds of draws (S, K) at every mass, by linear interpolation of the
    order statistics.
    """
    values = np.asarray(draws, dtype=np.float64)
    # One sort along contiguous memory serves every quantile and is several times faster than np.quantile.
    ordered = np.sort(np.ascontiguousarray(values.T), axis=1)

    def quantile(p: float) -> Floats:
        place = p * (ordered.shape[1] - 1)
        low = int(place)
        high = min(low + 1, ordered.shape[1] - 1)
        between: Floats = ordered[:, low] + (place - low) * (ordered[:, high] - ordered[:, low])
        return between

    return Summary(
        mean=values.mean(axis=0),
        median=quantile(0.5),
        lower=np.array([quantile((1 - mass) / 2) for mass in intervals]),
        upper=np.array([quantile((1 + mass) / 2) for mass in intervals]),
    )


def _failed(failure: Failure) -> str:
    return "; ".join(failure.tried) or failure.reason
