"""Priors a person can read: families of the declared support, fitted to draws by maximum likelihood (PreliZ).

The rule. Candidates are the declared family and the usual ones of its support (`CANDIDATES`). Each is fitted
to at most `DRAWS` evenly chosen draws of every entry of the parameter, after the draws were standardised (a
family of location and scale by median and sd, a positive one by its median), because PreliZ starts its
optimiser at the moments and stops where steps become small in absolute terms. Taken is the first, in this
order, whose AIC, summed over the entries, is at most `BETTER` above the lowest: the declared family unless
another one is clearly better. So a HalfNormal whose posterior lies far from zero becomes a Gamma or
LogNormal, and stays positive.

A `transform` that can be undone stays, and the family is that of the value before it; bounds that are numbers
stay to the digit (TruncatedNormal between them); what is nested or names other parameters becomes numbers.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import special

from posterity.config import PriorSpec
from posterity.config.distributions import (
    DISTRIBUTIONS,
    POSITIVE_TRANSFORMS,
    Support,
)
from posterity.errors import ModelError
from posterity.inference.posterior import Floats
from posterity.portfolio.structure import bounds

DRAWS = 1_000
"""Draws of an entry that a family is fitted to, so that the choice does not hang on how many were stored."""
BETTER = 10.0
"""By how much the AIC may be above the lowest (Burnham & Anderson, Sociol Methods Res 33:261, 2004: a model
more than 10 above has essentially no support)."""

REAL = ("Normal", "StudentT", "SkewNormal")
POSITIVE = ("Gamma", "LogNormal", "InverseGamma", "Weibull")
UNIT = ("Beta", "LogitNormal", "Kumaraswamy")
CANDIDATES = (REAL, POSITIVE, UNIT)

# How each argument follows x = location + scale * z: l the location, s a scale, r a rate, - neither,
# e the logarithm of a scale. Left out: AsymmetricLaplace, whose b is a scale to PreliZ and a rate to PyMC,
# and ExGaussian, which PreliZ fits by moments.
_ARGUMENTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Normal": {"mu": "l", "sigma": "s"},
        "StudentT": {"nu": "-", "mu": "l", "sigma": "s"},
        "SkewNormal": {"mu": "l", "sigma": "s", "alpha": "-"},
        "Laplace": {"mu": "l", "b": "s"},
        "Logistic": {"mu": "l", "s": "s"},
        "Gumbel": {"mu": "l", "beta": "s"},
        "Cauchy": {"alpha": "l", "beta": "s"},
        "Moyal": {"mu": "l", "sigma": "s"},
        "Gamma": {"alpha": "-", "beta": "r"},
        "LogNormal": {"mu": "e", "sigma": "-"},
        "InverseGamma": {"alpha": "-", "beta": "s"},
        "Weibull": {"alpha": "-", "beta": "s"},
        "HalfNormal": {"sigma": "s"},
        "HalfStudentT": {"nu": "-", "sigma": "s"},
        "HalfCauchy": {"beta": "s"},
        "Exponential": {"lam": "r"},
        "Wald": {"mu": "s", "lam": "s"},
        "Beta": {"alpha": "-", "beta": "-"},
        "LogitNormal": {"mu": "-", "sigma": "-"},
        "Kumaraswamy": {"a": "-", "b": "-"},
        "VonMises": {"mu": "-", "kappa": "-"},
    }
)
FITTED = tuple(_ARGUMENTS)
"""Families that draws are fitted with; others keep their support, not their name."""

INVERSES: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "erf": special.erfinv, "exp": np.log, "expm1": np.log1p, "invlogit": special.logit,
        "invprobit": special.ndtri, "log": np.exp, "log1p": np.expm1, "logit": special.expit,
        "neg": np.negative, "probit": special.ndtr, "reciprocal": np.reciprocal, "sigmoid": special.logit,
        "softplus": lambda x: x + np.log(-np.expm1(-x)), "sqrt": np.square, "tanh": np.arctanh,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fit:
    """A family fitted to K entries: arguments (K,) each, and 2 log likelihood - 2 parameters, negative."""

    family: str
    kwargs: Mapping[str, Floats]
    aic: float


def readable(name: str, spec: PriorSpec, draws: Floats) -> PriorSpec:
    """The prior of a parameter that describes its draws (S, K), or (S,) for a scalar, on their own scale.

    K entries lie along the last of the prior's dims. Raises ModelError where the declared support cannot be
    kept because it depends on other parameters, or where no family can be fitted.
    """
    values = np.asarray(draws, np.float64).reshape(len(draws), -1)
    inverse = INVERSES.get(spec.transform or "")
    transform = spec.transform if inverse else None
    inner = inverse(values) if inverse else values
    if len(inner) < 2 or not np.isfinite(inner).all() or (np.ptp(inner, axis=0) == 0).any():
        raise ModelError(
            f"the draws of {name} are too few, not finite, or all the same; no prior can be made of them"
        )
    inner = inner[np.arange(min(DRAWS, len(inner))) * len(inner) // min(DRAWS, len(inner))]
    best = _chosen(name, _plain_support(spec) if transform is None else spec, inner)
    scalar = np.ndim(draws) == 1
    kwargs: dict[str, Any] = {
        k: float(v[0]) if scalar else tuple(map(float, v)) for k, v in best.kwargs.items()
    }
    return PriorSpec(dist=best.family, kwargs=kwargs, dims=spec.dims, transform=transform)


def _plain_support(spec: PriorSpec) -> PriorSpec:
    """A prior without its transform: one with the transformed value's support stands for it."""
    if spec.transform is None:
        return spec
    if spec.transform in POSITIVE_TRANSFORMS:
        return PriorSpec(dist="Gamma", kwargs={"alpha": 1.0, "beta": 1.0})
    return PriorSpec(dist="Uniform", kwargs={"lower": -1.0, "upper": 1.0})  # cos and sin


def _chosen(name: str, spec: PriorSpec, values: Floats) -> _Fit:
    """The best family for draws (S, K) by the rule at the top of this file."""
    declared = "LogNormal" if spec.dist == "Lognormal" else spec.dist
    limits = bounds(spec)
    if limits is None:
        raise ModelError(
            f"the support of {name} hangs on other parameters ({spec.dist} with bounds that are no numbers), "
            "so no prior of its own keeps it; give the bounds as numbers, or use the joint prior file alone"
        )
    low, high = (np.broadcast_to(np.asarray(end, np.float64), values.shape[1:]) for end in limits)
    circle = DISTRIBUTIONS[declared].support is Support.CIRCULAR
    names: tuple[str, ...]
    if circle:
        names = ("VonMises",)
    elif np.isinf(low).all() and np.isinf(high).all():
        names = REAL
    elif (low == 0).all() and np.isinf(high).all():
        names = POSITIVE
    elif (low == 0).all() and (high == 1).all():
        names = UNIT
    else:
        return _truncated(values, low, high)
    names = tuple(dict.fromkeys((declared, *names))) if declared in _ARGUMENTS else names
    fits = [_truncated(values, low, high)] if declared == "TruncatedNormal" else []
    fits += [found for n in names if (found := _fitted(n, values)) is not None]
    if not fits:
        raise ModelError(f"none of {', '.join(names)} can be fitted to the draws of {name}")
    lowest = min(found.aic for found in fits)
    return next(found for found in fits if found.aic <= lowest + BETTER)


def _fitted(family: str, values: Floats) -> _Fit | None:
    """A family fitted to every column of (S, K); None where PreliZ gives no finite answer."""
    import preliz

    rules = _ARGUMENTS[family]
    kwargs: dict[str, list[float]] = {name: [] for name in rules}
    likelihood = 0.0
    for column in values.T:
        location, scale = 0.0, 1.0
        if "l" in rules.values():
            location, scale = float(np.median(column)), float(column.std())
        elif set(rules.values()) & set("sre"):
            scale = float(np.median(column))
        standard = (column - location) / scale
        fitted = getattr(preliz, family)()
        with warnings.catch_warnings():
            # The optimiser's trial steps leave the arguments' range; a fit that ends there is not finite.
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                preliz.mle([fitted], standard, plot=0)
            except ValueError:
                return None  # moments that the family cannot have: a SkewNormal of heavy-tailed draws
            likelihood += float(np.sum(fitted.logpdf(standard))) - len(standard) * np.log(scale)
        for name, rule in rules.items():
            kwargs[name].append(_moved(float(fitted.params_dict[name]), rule, location, scale))
    arguments = {name: np.array(found) for name, found in kwargs.items()}
    if not (np.isfinite(likelihood) and all(np.isfinite(found).all() for found in arguments.values())):
        return None
    return _Fit(family, arguments, 2 * len(rules) * values.shape[1] - 2 * likelihood)


def _moved(value: float, rule: str, location: float, scale: float) -> float:
    """An argument of the standardised draws as that of the draws themselves."""
    match rule:
        case "l":
            return location + scale * value
        case "s":
            return scale * value
        case "r":
            return value / scale
        case "e":
            return value + float(np.log(scale))
    return value


def _truncated(values: Floats, low: Floats, high: Floats) -> _Fit:
    """TruncatedNormal between fixed bounds, which PreliZ would move to the least and largest draw.

    The maximum of the likelihood over mu and sigma, on the draws standardised by their mean and sd.
    """
    from scipy.optimize import minimize

    found, total = [], 0.0
    for column, a, b in zip(values.T, low, high, strict=True):
        centre, spread = column.mean(), column.std()
        z, left, right = (column - centre) / spread, (a - centre) / spread, (b - centre) / spread

        def loss(at: Floats, z: Floats = z, left: float = left, right: float = right) -> float:
            mu, sigma = at[0], np.exp(at[1])
            ends = (left - mu) / sigma, (right - mu) / sigma
            # In the lower tail, where probabilities keep their digits.
            below, above = ends if ends[0] < 0 else (-ends[1], -ends[0])
            gap = special.log_ndtr(below) - special.log_ndtr(above)
            inside = special.log_ndtr(above) + np.log(-np.expm1(min(gap, -1e-300)))
            return float(np.sum(0.5 * ((z - mu) / sigma) ** 2) + len(z) * (at[1] + inside))

        # A flat posterior has no maximum at all: mu and sigma would grow without end.
        best = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-20.0, 20.0), (-2.0, 4.0)])
        found.append((centre + spread * best.x[0], spread * np.exp(best.x[1])))
        total += float(best.fun) + len(z) * (0.5 * np.log(2 * np.pi) + np.log(spread))
    mu, sigma = np.array(found).T
    kwargs = {"mu": mu, "sigma": sigma}
    kwargs |= {"lower": low} if np.isfinite(low).all() else {}
    kwargs |= {"upper": high} if np.isfinite(high).all() else {}
    return _Fit("TruncatedNormal", kwargs, 4 * len(mu) + 2 * total)
