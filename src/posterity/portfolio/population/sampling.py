"""Draws of a population from its marginal posterior, certified."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nutpie.compiled_pyfunc import from_pyfunc

from posterity.errors import PosterityError
from posterity.inference import adaptive, laplace, nuts
from posterity.inference.mode import Mode
from posterity.inference.posterior import Failure, Posterior
from posterity.portfolio.population.density import PopulationDensity

type Floats = NDArray[np.float64]

NUMBERS = 200_000
"""Numbers that a population's draws may fill."""
POINTS = 3_000_000
"""Entities × populations whose marginal one importance sample may cost."""
MOST_DRAWS = 4_000
FEW_DRAWS = 400
GOOD, ENOUGH = 0.5, 0.7
"""k̂ up to which an importance sample is taken at once, and at all."""
FEW_DIMENSIONS = 10
"""Up to here adaptive importance sampling is worth trying."""
CHAINS, TUNE, LENGTH = 4, 400, 500


@dataclass(frozen=True)
class Sampled:
    """Draws ψ (S, ·) with their certificate: k̂ of an importance sample, or the worst R-hat of chains."""

    psis: Floats
    khat: float | None = None
    rhat: float | None = None


def sample(density: PopulationDensity, mode: Mode, rng: np.random.Generator) -> Sampled:
    """Importance sampling from the mode and curvature, from kernels that adapt, and NUTS where neither is
    certified.

    Raises PosterityError where nothing could be drawn.
    """
    each = density.partial * (density.partial + density.groups + 2) + density.shared
    size = int(np.clip(POINTS // len(density.group), FEW_DRAWS, MOST_DRAWS))
    kept = int(np.clip(NUMBERS // each, FEW_DRAWS, size))
    options = {"draws": size, "chains": 1}
    drawn = laplace.fit(density, (), [mode], rng, **options)
    if not _certified(drawn, GOOD) and density.dimension <= FEW_DIMENSIONS:
        drawn = adaptive.fit(density, (), [mode], rng, **options)
    if not _certified(drawn, ENOUGH):
        drawn = _by_nuts(density, mode, rng)
    if isinstance(drawn, Failure):
        raise PosterityError(f"the population's posterior cannot be sampled: {drawn.reason}")
    flat = drawn.unconstrained.reshape(-1, density.dimension)
    thinned = np.linspace(0, len(flat) - 1, min(kept, len(flat))).astype(int)
    if drawn.method != "nuts":
        return Sampled(flat[thinned], khat=float(drawn.diagnostics.khat))
    return Sampled(flat[thinned], rhat=float(np.max(drawn.diagnostics.rhat)))


def _certified(drawn: Posterior | Failure, khat: float) -> bool:
    return isinstance(drawn, Posterior) and bool(drawn.diagnostics.khat <= khat)


def _by_nuts(density: PopulationDensity, mode: Mode, rng: np.random.Generator) -> Posterior | Failure:
    """NUTS on the same density: its gradient is there, and spreads that may be zero are too skewed for
    importance sampling in many dimensions.
    """
    lower = np.linalg.cholesky(np.linalg.inv(mode.hessian))

    def log_density(x: Floats) -> tuple[float, Floats]:
        psi = mode.theta + lower @ x
        value = float(density.densities(psi[None])[0])
        if not np.isfinite(value):
            return value, np.zeros(len(x))
        return value, lower.T @ density.gradient(psi)

    def expand(x: Floats) -> dict[str, Any]:
        return {"theta": mode.theta + lower @ x}

    size = density.dimension
    loaded = from_pyfunc(
        size,
        lambda: log_density,
        lambda *_: expand,
        [np.dtype("float64")],
        [(size,)],
        ["theta"],
        make_initial_point_fn=lambda seed: 0.1 * np.random.default_rng(seed).standard_normal(size),
    )
    seed = np.random.SeedSequence(int(rng.integers(2**62)))
    start = np.zeros((1, size))
    run: Any = {"draws": LENGTH, "chains": CHAINS, "tune": TUNE, "target_accept": 0.9}
    return nuts.sample(loaded, density, (), start, seed, **run)
