"""Learning a population from established entities: expand, reduce, repeat until it stands still."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from posterity.errors import PosterityError
from posterity.inference.mode import Mode
from posterity.portfolio.population.density import LogDensity, PopulationDensity
from posterity.portfolio.population.factors import Factor, standardised
from posterity.portfolio.population.sampling import sample
from posterity.portfolio.population.spreads import log_density
from posterity.portfolio.population.sweep import Setting, State, Teacher, expand_all
from posterity.portfolio.population.value import Population
from posterity.portfolio.runners import Runner

type Floats = NDArray[np.float64]

FEWEST = 3
"""Teachers below which heterogeneity cannot be learned."""
SWEEPS = 24
STILL = 0.1
"""A population stands still when no entry of it moves by more than so many of its sds."""
NEAR, EXPANSIONS = 3.0, 6
"""From here on, or after so many sweeps, factors match moments."""
STEP = 0.3
"""First and longest step of differences in a shared parameter; later ones follow its posterior sd."""
REACH, FAR = 2.5, 0.3
"""Steps, or units of a shared parameter, within which the differences stand for a factor."""
DAMPED = 5
FIRST = 2
"""Sweeps after which factors move half of their way only: for so many sweeps after the first moments, and
whenever the population turns back, as the noise of weighted draws has it do, or a spread that the data hardly
know."""


@dataclass(frozen=True)
class Learned:
    """A population with the factors that taught it, by entity, expanded at the shared values `origin`."""

    population: Population
    origin: Floats
    factors: Mapping[str, Factor]
    failed: Mapping[str, str]


def learn(setting: Setting, teachers: Sequence[Teacher], runner: Runner | None = None) -> Learned:
    """The population that taught entities were drawn from.

    Each sweep finds every entity's conditional mode under the current population and expands its likelihood
    there, then finds the mode of the population's marginal posterior, in closed form given the expansions;
    it ends when the population stands still. The first sweep lets shared parameters vary, for a first guess.
    The last population is importance-sampled from its mode and curvature, k̂ its certificate. `runner` maps
    the entities; without one they are expanded in this process.

    Raises PosterityError with fewer than `FEWEST` teachers that have a mode.
    """
    groups = sorted({t.group for t in teachers} - {""})
    index = {t.entity: groups.index(t.group) if groups else 0 for t in teachers}
    state = _first(setting, max(1, len(groups)))
    rng = np.random.default_rng(np.random.SeedSequence([setting.seed, 0x909]))
    factors: dict[str, Factor] = {}
    last, full, converged, moments = np.zeros(0), False, False, False
    step, calm, turning = None, 0, False
    density, mode = None, None
    sweep = 0
    for sweep in range(SWEEPS):
        deciding = sweep <= 1 or (moments and not any(f.moments for f in factors.values()))
        before = factors
        factors = expand_all(setting, state, teachers, index, factors, moments=moments, runner=runner)
        if len(factors) < FEWEST:
            raise PosterityError(
                f"{len(factors)} of {len(teachers)} established entities have a mode to learn from; "
                f"a population takes at least {FEWEST}"
            )
        calm += moments
        if sweep >= DAMPED and (calm <= FIRST or turning):
            factors = {e: f if (old := before.get(e)) is None else f.towards(old) for e, f in factors.items()}
        density, mode, full = _shape(setting, state, factors, index, full, mode, deciding)
        point = _point(state, density, mode)
        way = (point[0] - last) / point[1] if len(point[0]) == len(last) else None
        moved = np.inf if way is None else np.abs(way).max()
        turning = way is not None and step is not None and len(way) == len(step) and bool(way @ step < 0)
        last, step = point[0], way
        converged = bool(moments and moved < STILL)
        if converged or sweep == SWEEPS - 1:
            break
        # Expansions are cheaper than moments; they bring the population near first.
        moments = moments or (sweep > 0 and moved < NEAR) or sweep >= EXPANSIONS
        state = _next(setting, state, density, mode, first=sweep == 0)
    assert density is not None
    assert mode is not None
    failed = {t.entity: "no conditional mode was found" for t in teachers if t.entity not in factors}
    sampled = sample(density, mode, rng)
    population = _population(
        setting,
        state,
        density,
        sampled.psis,
        rng,
        groups,
        [t for t in teachers if t.entity in factors],
        factors,
    )
    notes = []
    if setting.covariance == "full" and not full and len(setting.entries.partial) > 1:
        notes.append(f"a full covariance takes two teachers an entry; from {len(factors)} it is diagonal")
    if failed:
        notes.append(f"{len(failed)} taught nothing, having no mode: {', '.join(list(failed)[:5])}")
    population = replace(
        population,
        covariance="full" if full else "diagonal",
        khat=sampled.khat,
        rhat=sampled.rhat,
        sweeps=sweep + 1,
        converged=converged,
        notes=tuple(notes),
    )
    return Learned(population, state.shared, factors, failed)


def _first(setting: Setting, groups: int) -> State:
    entries = setting.entries.all_partial()
    own = entries.partial
    return State(
        entries,
        np.tile(setting.mean[own], (groups, 1)),
        np.diag(setting.sd[own] ** -2.0),
        np.zeros(0),
        np.zeros(0),
    )


def _reduce(
    setting: Setting,
    state: State,
    factors: Mapping[str, Factor],
    index: Mapping[str, int],
    groups: int,
    full: bool,
    before: Mode | None,
) -> tuple[PopulationDensity, Mode]:
    """The population's marginal posterior given all factors, and its mode."""
    own = state.entries.partial
    density = PopulationDensity(
        standardised(list(factors.values()), setting.mean[own], setting.sd[own]),
        np.array([index[entity] for entity in factors], dtype=np.int64),
        groups,
        full,
        [log_density(setting.spread.get(int(i)), float(setting.sd[i])) for i in own],
        _shared_prior(setting, state),
        np.maximum(REACH * state.steps, FAR),
    )
    sds, correlations, between, shared = density.slices
    if before is not None and len(before.theta) == density.dimension:
        start = before.theta.copy()
    else:
        start = np.zeros(density.dimension)
        start[sds], start[between] = -1.0, -1.0
    start[shared] = 0
    # Taylor coefficients hold near where they were taken.
    bounds = [(-12.0, 5.0)] * density.dimension
    bounds[correlations] = [(-4.0, 4.0)] * (correlations.stop - correlations.start)
    bounds[shared] = [(-reach, reach) for reach in density.reach]

    def objective(psi: Floats) -> tuple[float, Floats]:
        return -float(density.densities(psi[None])[0]), -density.gradient(psi)

    best = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200})
    value, _, hessian = density.evaluate(best.x)
    values, vectors = np.linalg.eigh(hessian)
    hessian = vectors * np.maximum(np.abs(values), 1e-2) @ vectors.T
    return density, Mode(best.x, value, hessian, True)


def _shared_prior(setting: Setting, state: State) -> LogDensity:
    """The declared prior of shared parameters, as a function of distances (S, k) from where factors were
    expanded.
    """
    shared = state.entries.shared
    if not len(shared):
        return lambda deltas: np.zeros(len(deltas))
    model = setting.model
    names = tuple(dict.fromkeys(model.owners[i] for i in shared))

    def density(deltas: Floats) -> Floats:
        thetas = np.tile(setting.mean, (len(deltas), 1))
        thetas[:, shared] = state.shared + deltas
        return model.declared_densities(names, thetas, setting.inputs)

    return density


def _shape(
    setting: Setting,
    state: State,
    factors: Mapping[str, Factor],
    index: Mapping[str, int],
    full: bool,
    before: Mode | None,
    deciding: bool,
) -> tuple[PopulationDensity, Mode, bool]:
    """The reduced population with a full covariance or a diagonal one.

    A full one is tried with at least two teachers an entry; `auto` takes it where its evidence (Laplace's,
    with LKJ(2) correlations) is larger. That is decided anew when shared parameters stop varying and when
    factors begin to match moments, else left as it was.
    """
    groups = len(state.means)
    if not deciding:
        return *_reduce(setting, state, factors, index, groups, full, before), full
    density, mode = _reduce(setting, state, factors, index, groups, False, None)
    p = len(state.entries.partial)
    guessing = state.psi is None and len(setting.entries.shared) > 0
    if guessing or p < 2 or setting.covariance == "diagonal" or len(factors) < 2 * p:
        return density, mode, False
    correlated, peak = _reduce(setting, state, factors, index, groups, True, None)
    if setting.covariance == "full" or _evidence(peak) > _evidence(mode):
        return correlated, peak, True
    return density, mode, False


def _evidence(mode: Mode) -> float:
    """Laplace's log evidence."""
    log_det = float(np.linalg.slogdet(mode.hessian)[1])
    return float(-mode.height + 0.5 * len(mode.theta) * np.log(2 * np.pi) - 0.5 * log_det)


def _point(state: State, density: PopulationDensity, mode: Mode) -> tuple[Floats, Floats]:
    """Position and sds of a population, for the question whether it moved: ψ and the groups' means."""
    lower, omega, delta = (x[0] for x in density.spreads(mode.theta[None]))
    means, covariances, *_ = density.levels(lower, omega, delta)
    sds = np.sqrt(np.diagonal(np.linalg.inv(mode.hessian)))
    spread = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    psi = mode.theta.copy()
    psi[density.slices[-1]] += state.shared
    return np.concatenate([psi, means.ravel()]), np.concatenate([sds, spread.ravel()])


def _next(setting: Setting, state: State, density: PopulationDensity, mode: Mode, *, first: bool) -> State:
    """The population at the mode, as the next sweep's point."""
    lower, omega, delta = (x[0] for x in density.spreads(mode.theta[None]))
    standard, *_ = density.levels(lower, omega, delta)
    own = state.entries.partial
    means = setting.mean[own] + setting.sd[own] * standard
    low = setting.sd[own][:, None] * lower
    if not first:
        # Never narrower than rounding allows.
        precision = np.linalg.inv(low @ low.T + 1e-10 * np.diag(setting.sd[own] ** 2))
        sds = np.sqrt(np.diagonal(np.linalg.inv(mode.hessian)))[density.slices[-1]]
        steps = np.clip(1.5 * sds, 1e-4, STEP)
        return State(state.entries, means, precision, state.shared + delta, steps, mode.theta)
    entries = setting.entries
    partial, shared = (np.searchsorted(own, x) for x in (entries.partial, entries.shared))
    covariance = (low @ low.T)[np.ix_(partial, partial)] + 1e-10 * np.diag(setting.sd[entries.partial] ** 2)
    return State(
        entries,
        means[:, partial],
        np.linalg.inv(covariance),
        means[:, shared].mean(axis=0),
        np.full(len(shared), STEP),
    )


def _population(
    setting: Setting,
    state: State,
    density: PopulationDensity,
    psis: Floats,
    rng: np.random.Generator,
    groups: Sequence[str],
    teachers: Sequence[Teacher],
    factors: Mapping[str, Factor],
) -> Population:
    """Draws of ψ and of the means, in raw coordinates."""
    entries = setting.entries
    transferred = entries.transferred
    lower, between, deltas = density.spreads(psis)
    top, means = density.draw_means(psis, rng)
    centre, scale = setting.mean[entries.partial], setting.sd[entries.partial]
    rows = sum(t.rows for t in teachers)
    names = setting.model.unconstrained_names
    return Population(
        entries=tuple(names[i] for i in transferred),
        partial=tuple(np.searchsorted(transferred, entries.partial).tolist()),
        shared=tuple(np.searchsorted(transferred, entries.shared).tolist()),
        groups=tuple(groups),
        mean=centre + scale * top,
        group_means=centre + scale * means,
        lower=scale[:, None] * lower,
        between=scale * between if between.size else between,
        shared_values=state.shared + deltas,
        information=np.sum([factors[t.entity].information for t in teachers], axis=0) / rows,
        declared_mean=setting.mean[transferred],
        declared_sd=setting.sd[transferred],
        covariance="diagonal",
        khat=None,
        sweeps=0,
        converged=False,
        taught_by=tuple(t.key for t in teachers),
        teachers=tuple(t.entity for t in teachers),
        rows=rows,
    )
