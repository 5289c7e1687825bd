"""Prior densities of the sd between entities, from the configuration's families."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from posterity.config import PriorSpec

type Floats = NDArray[np.float64]


def log_density(spec: PriorSpec | None, declared_sd: float) -> Callable[[Floats], Floats]:
    """Log density of an sd between entities, in units of the declared prior's sd on the unconstrained scale.

    The default is half-normal with scale 1 in these units (Gelman, Bayesian Analysis 1:515, 2006): entities
    differ by about what the declared prior allows, or less.
    """
    if spec is None:
        return half_normal
    frozen = _frozen(
        spec.dist,
        {name: float(value) for name, value in spec.kwargs.items() if isinstance(value, int | float)},
    )

    def density(sd: Floats) -> Floats:
        return np.asarray(frozen.logpdf(sd * declared_sd) + np.log(declared_sd))

    return density


def half_normal(sd: Floats) -> Floats:
    """Log density of the half-normal with scale 1 at positive numbers."""
    # SciPy's, without its checks: it is met at every step of a sampler, once for each entry.
    return np.asarray(0.5 * np.log(2 / np.pi) - 0.5 * sd**2)


def _frozen(family: str, kwargs: dict[str, float]) -> stats.rv_continuous:
    """The family with its numbers, as SciPy has it."""
    get = kwargs.get
    match family:
        case "HalfNormal":
            return stats.halfnorm(scale=get("sigma", 1.0))
        case "HalfCauchy":
            return stats.halfcauchy(scale=get("beta", 1.0))
        case "HalfStudentT":
            # Half a t distribution folded at zero.
            return _Folded(stats.t(get("nu", 1.0), scale=get("sigma", 1.0)))
        case "Exponential":
            return stats.expon(scale=get("scale", 1 / get("lam", 1.0)))
        case "LogNormal":
            sigma = get("sigma", get("tau", 1.0) ** -0.5)
            return stats.lognorm(sigma, scale=np.exp(get("mu", 0.0)))
        case "Gamma":
            if "mu" in kwargs:
                mu, sigma = kwargs["mu"], kwargs["sigma"]
                return stats.gamma((mu / sigma) ** 2, scale=sigma**2 / mu)
            return stats.gamma(kwargs["alpha"], scale=get("scale", 1 / get("beta", 1.0)))
    raise AssertionError(f"{family} is no family of spreads")


class _Folded:
    """A distribution symmetric about zero, folded there."""

    def __init__(self, whole: stats.rv_continuous) -> None:
        self._whole = whole

    def logpdf(self, x: Floats) -> Floats:
        return np.asarray(self._whole.logpdf(x) + np.log(2))
