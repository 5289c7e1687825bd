"""Bayesian linear regression on standardised data, its coefficients integrated out.

Given the noise's sd σ the coefficients are normal and known in closed form (Lindley & Smith, JRSSB 34:1,
1972), so the engine samples σ alone, from p(σ | y), and the coefficients are drawn from p(β | σ, y): exact
draws from the joint posterior. In the basis of the singular vectors U, d, V of the design, scaled by the
priors' sds, squared scores (Uᵀy)² are σ² + d² times chi-squared, the rest of y is σ² times chi-squared with
n − r degrees of freedom, r = min(n, p + 1). The model has r + 1 rows and two columns whatever the numbers of
rows and features, so it is compiled once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config import families
from posterity.errors import ConfigError
from posterity.estimators.configured import Raw, check_names, mapping, plain

type Floats = NDArray[np.float64]

PRIORS: Mapping[str, Raw] = {
    "intercept": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2.5}},
    "coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2.5}},
    "sigma": {"dist": "Exponential", "kwargs": {"lam": 1}},
}
"""On the scale of standardised features and target: those of rstanarm (Goodrich et al.; Gelman et al., Annals
of Applied Statistics 2:1360, 2008)."""

EXACT = 1e-12
"""Variance added to σ²: without it the posterior of data that lie on a plane would be improper at σ = 0. No
fit is taken for more exact than a millionth of the target's sd."""

TINY = 1e-200
"""For sums of squares that are zero, which a Gamma distribution cannot give."""


def with_defaults(priors: Mapping[str, Any] | None, defaults: Mapping[str, Raw]) -> dict[str, Raw]:
    """The default priors with those given in their places. Raises ConfigError for other names and for
    what is no prior.
    """
    check_names(priors or {}, list(defaults))
    given = {name: plain(prior) for name, prior in (priors or {}).items()}
    for name, prior in given.items():
        if not isinstance(prior, Mapping):
            raise ConfigError([f"priors: {name} is {prior!r}; give a prior such as {defaults[name]!r}"])
    return {**defaults, **given}


def model_section(prior: Raw) -> Raw:
    """The model of the sums of squares; `prior` is σ's, on the scale of a standardised target.

    Raises ConfigError for a prior that can be negative.
    """
    if families.bounds(prior)[0] < 0:
        raise ConfigError(
            [f"the prior of 'sigma' is {prior!r}, which can be negative; HalfNormal or Exponential cannot"]
        )
    return {
        "parameters": {"sigma": prior},
        "quantities": {"rate": {"expression": f"0.5 / (sigma * sigma + spread + {EXACT!r})"}},
        "likelihood": {"dist": "Gamma", "kwargs": {"alpha": "half", "beta": "rate"}},
    }


@dataclass(frozen=True, slots=True)
class Design:
    """Standardised features (n, p) and target (n,) in the basis of their singular vectors.

    R directions: `spread` (R,) squared singular values, `scores` (R,), `basis` (R, p + 1); `rest` is the sum
    of squares outside of them, with `freedom` degrees of freedom. `mean` and `sd` (p + 1,) are those of the
    priors of the intercept and the coefficients.
    """

    spread: Floats
    scores: Floats
    basis: Floats
    rest: float
    freedom: int
    mean: Floats
    sd: Floats

    @classmethod
    def of(cls, features: Floats, target: Floats, priors: Mapping[str, Raw]) -> "Design":
        """Raises ConfigError for priors of intercept and coefficients that are not normal."""
        (level, level_sd), (mean, sd) = (
            normal("intercept", priors["intercept"], 1),
            normal("coef", priors["coef"], features.shape[1]),
        )
        means, sds = np.concatenate([level, mean]), np.concatenate([level_sd, sd])
        whole = np.column_stack([np.ones(len(target)), features])
        centred = target - whole @ means
        left, values, basis = np.linalg.svd(whole * sds, full_matrices=False)
        scores = left.T @ centred
        rest = float(((centred - left @ scores) ** 2).sum())
        return cls(values**2, scores, basis, rest, len(target) - len(values), means, sds)

    @property
    def columns(self) -> dict[str, Floats]:
        """Inputs of the model: half the degrees of freedom, and the variance that the coefficients give."""
        half, spread = np.full(len(self.spread), 0.5), self.spread
        if not self.freedom:
            return {"half": half, "spread": spread}
        return {"half": np.append(half, self.freedom / 2), "spread": np.append(spread, 0.0)}

    @property
    def target(self) -> Floats:
        """Sums of squares, one for each row of `columns`."""
        squares = self.scores**2
        return np.maximum(np.append(squares, self.rest) if self.freedom else squares, TINY)

    def coefficients(self, sigma: Floats, rng: np.random.Generator) -> Floats:
        """Draws of intercept and coefficients (S, p + 1), one for each draw of σ (S,)."""
        variance = (sigma**2 + EXACT)[:, None]
        total = self.spread + variance
        noise = rng.standard_normal((len(sigma), len(self.mean)))
        if len(noise) > 1:
            # Posterior means then have the Monte Carlo error of σ alone.
            noise -= noise.mean(axis=0)
        inside = noise @ self.basis.T
        centre = np.sqrt(self.spread) * self.scores / total
        # What the data do not reach keeps its prior.
        moved = noise + (centre + (np.sqrt(variance / total) - 1) * inside) @ self.basis
        found: Floats = self.mean + self.sd * moved
        return found


def normal(name: str, prior: Raw, entries: int) -> tuple[Floats, Floats]:
    """Mean and sd (entries,) of a normal prior with numbers in it. Raises ConfigError for any other."""
    kwargs = mapping(prior.get("kwargs"))
    fine = prior.get("dist") == "Normal" and set(prior) <= {"dist", "kwargs"}
    fine = fine and set(kwargs) <= {"mu", "sigma"}
    try:
        mean = np.broadcast_to(np.asarray(kwargs.get("mu", 0.0), dtype=np.float64), entries)
        sd = np.broadcast_to(np.asarray(kwargs.get("sigma", 1.0), dtype=np.float64), entries)
    except (TypeError, ValueError):
        fine = False
    if not fine or not (np.isfinite(mean).all() and (sd > 0).all()):
        raise ConfigError(
            [
                (
                    f"the prior of {name!r} is {prior!r}; the default model takes {{'dist': 'Normal', "
                    f"'kwargs': {{'mu': 0, 'sigma': 2.5}}}}, a number or {entries} each, sigma positive; "
                    "write a model of your own for other priors"
                )
            ]
        )
    return mean, sd
