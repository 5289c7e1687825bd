"""The observation model: a PyMC distribution of the target given parameters, quantities and columns."""

from collections.abc import Mapping
from typing import Any

import pymc as pm
import pytensor.tensor as pt

from posterity.config import Likelihood, PriorSpec
from posterity.config.distributions import DISTRIBUTIONS
from posterity.errors import ModelError

# Columns arrive as floats; these arguments count things, and NumPy's generators insist on integers for them.
COUNTS = frozenset({("Binomial", "n"), ("BetaBinomial", "n")})


def observe(likelihood: Likelihood, known: Mapping[str, Any], target: Any, order: Any | None) -> Any:
    """Create the observed variable in the current PyMC model.

    `known` holds every parameter, quantity and column by name; `order`, where errors are dependent, the pair
    (previous target, time since the previous row).
    """
    arguments: dict[str, Any] = {}
    for key, value in likelihood.kwargs.items():
        argument = (
            known[value] if isinstance(value, str) else known[key] if isinstance(value, PriorSpec) else value
        )
        counts = (likelihood.dist, key) in COUNTS
        arguments[key] = pt.cast(argument, "int64") if counts else argument
    if order is not None:
        family = DISTRIBUTIONS[likelihood.dist]
        # The configuration's checks let only location-scale families through.
        assert family.location is not None
        assert family.scale is not None
        location, scale = arguments[family.location], arguments[family.scale]
        location, scale = autoregressive(location, scale, known["rho"], *order)
        arguments |= {family.location: location, family.scale: scale}
    if likelihood.limits is None:
        return getattr(pm, likelihood.dist)("observed", **arguments, observed=target)
    return limited(likelihood, arguments, known, target)


def limited(
    likelihood: Likelihood, arguments: Mapping[str, Any], known: Mapping[str, Any], target: Any
) -> Any:
    """The observed variable within its limits: cut back to them (censored), or never beyond (truncated).

    A censored row at a limit counts by the probability of everything beyond it (Tobin, Econometrica 26:24,
    1958), a truncated density is divided by the probability between the limits.
    """
    limits = likelihood.limits
    assert limits is not None
    wrapper = pm.Censored if likelihood.censored is not None else pm.Truncated
    family = getattr(pm, likelihood.dist)
    lower, upper = (known[end] if isinstance(end, str) else end for end in (limits.lower, limits.upper))
    try:
        # Asked of numbers first, so that a family without a distribution function is told before any fit, and
        # one to truncate without its inverse, by which predictions are drawn.
        numbers = {name: pt.scalar(dtype=pt.as_tensor(value).dtype) for name, value in arguments.items()}
        pm.logp(wrapper.dist(family.dist(**numbers), lower=0, upper=1), pt.scalar())
        if likelihood.truncated is not None:
            pm.icdf(family.dist(**numbers), pt.scalar())
        whole = family.dist(**arguments, shape=target.shape)
        return wrapper("observed", whole, lower=lower, upper=upper, observed=target)
    except NotImplementedError as error:
        raise ModelError(
            f"{likelihood.dist} cannot be {'censored' if likelihood.censored else 'truncated'}: {error}"
        ) from error


def autoregressive(mu: Any, sigma: Any, rho: Any, previous: Any, gap: Any) -> tuple[Any, Any]:
    """Location and scale of each row given the row before it, for errors e(t) that decay like ρ^Δt.

    Errors follow the stationary AR(1) process e(t+1) = ρ e(t) + σ z(t), observed at whole or fractional gaps
    Δ: e(t+Δ) | e(t) has mean ρ^Δ e(t) and variance σ² (1 − ρ^2Δ) / (1 − ρ²) (Jones, Technometrics 22:389,
    1980). σ is thus the sd of a one-step-ahead error at Δ = 1. The first row of an entity has gap 0 by
    convention and the stationary variance σ² / (1 − ρ²).
    """
    mu = mu + pt.zeros_like(gap)
    before = pt.concatenate([mu[:1], mu[:-1]])
    first = pt.eq(gap, 0)
    log_rho = pt.log(rho)
    decay = pt.switch(first, 0.0, pt.exp(gap * log_rho))
    spread = pt.switch(first, 1.0, -pt.expm1(2 * gap * log_rho)) / -pt.expm1(2 * log_rho)
    return mu + decay * (previous - before), sigma * pt.sqrt(spread)
