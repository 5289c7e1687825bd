"""The static table says what the installed PyMC says."""

import inspect
import math

import numpy as np
import pytest

from posterity.config import distributions
from posterity.config.distributions import (
    DISTRIBUTIONS,
    TRANSFORMS,
    UNSUPPORTED,
    VECTOR_KWARGS,
    Domain,
    Support,
)

pm = pytest.importorskip("pymc")
pytensor = pytest.importorskip("pytensor")

ABSTRACT = {"Continuous", "Discrete", "Distribution", "SymbolicRandomVariable"}
NUMBERS = {Domain.REAL: 0.3, Domain.POSITIVE: 2.0, Domain.PROBABILITY: 0.3, Domain.COUNT: 5}
SPECIAL = {
    "DiscreteUniform": {"lower": 0, "upper": 4},
    "HyperGeometric": {"N": 9, "k": 5, "n": 3},
    "Triangular": {"lower": 0.0, "upper": 1.0, "c": 0.5},
    "TruncatedNormal": {"lower": -1.0, "upper": 1.0},
    "Uniform": {"lower": 0.0, "upper": 1.0},
    "Categorical": {"p": [0.3, 0.7], "logit_p": [0.0, 1.0]},
    "OrderedLogistic": {"cutpoints": [0.0, 1.0]},
    "OrderedProbit": {"cutpoints": [0.0, 1.0]},
    "Interpolated": {"x_points": np.arange(3.0), "pdf_points": np.array([0.1, 0.5, 0.4])},
    "Beta": {"sigma": 0.2},
    "Wald": {"alpha": 0.0},
}
MASS_AT_SIGN = {  # the first numbers of a support, in it and just outside
    Support.POSITIVE: (3.0, -0.5),
    Support.NONNEGATIVE: (1.0, -0.5),
    Support.UNIT: (0.5, 1.5),
    Support.COUNT: (0, -1),
    Support.BINARY: (1, 2),
    Support.BINOMIAL: (5, 6),
    Support.POSITIVE_COUNT: (1, 0),
    Support.CIRCULAR: (0.5, 4.0),
}


def arguments(name):
    family = getattr(pm, name)
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {k: p for k, p in inspect.signature(family.dist).parameters.items() if p.kind not in kinds}


def values(name, kwargs):
    family = DISTRIBUTIONS[name]
    return {k: SPECIAL.get(name, {}).get(k, NUMBERS[family.domain(k)]) for k in kwargs}


def test_every_distribution_of_pymc_is_known_or_refused_with_a_reason():
    exported = {
        n for n in pm.distributions.__all__ if inspect.isclass(getattr(pm.distributions, n))
    } - ABSTRACT
    assert set(DISTRIBUTIONS) | set(UNSUPPORTED) == exported
    assert not set(DISTRIBUTIONS) & set(UNSUPPORTED)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_arguments_are_those_of_pymc(name):
    family = DISTRIBUTIONS[name]
    signature = arguments(name)
    assert family.kwargs == tuple(signature)
    needed = {k for k, p in signature.items() if p.default is inspect.Parameter.empty}
    assert needed <= family.required
    assert VECTOR_KWARGS.get(name, frozenset()) <= set(family.kwargs)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_pymc_takes_every_parameterisation_and_refuses_what_lacks_an_argument(name):
    family = DISTRIBUTIONS[name]
    make = getattr(pm, name).dist
    for choice in family.parameterisations:
        assert family.accepts(frozenset(choice))
        make(**values(name, choice))
    for lacking in family.required:
        rest = [k for k in family.parameterisations[0] if k != lacking]
        if not family.accepts(frozenset(rest)):
            with pytest.raises((TypeError, ValueError, NotImplementedError)):
                make(**values(name, rest))


@pytest.fixture(scope="module")
def densities():
    """Log density of every family inside its support and outside, from one compiled function."""
    families = [f for f in DISTRIBUTIONS.values() if f.support in MASS_AT_SIGN]
    outputs = []
    for family in families:
        variable = getattr(pm, family.name).dist(**values(family.name, family.parameterisations[0]))
        outputs += [pm.logp(variable, value) for value in MASS_AT_SIGN[family.support]]
    results = pytensor.function([], outputs, mode="FAST_COMPILE")()
    return {f.name: (results[2 * i], results[2 * i + 1]) for i, f in enumerate(families)}


@pytest.mark.parametrize("name", [n for n, f in DISTRIBUTIONS.items() if f.support in MASS_AT_SIGN])
def test_support_is_that_of_pymc(name, densities):
    inside, outside = densities[name]
    assert inside > -math.inf
    assert outside == -math.inf


@pytest.mark.parametrize("name", sorted(set(DISTRIBUTIONS) - {"DiracDelta"}))  # its type is that of its value
def test_discreteness_is_that_of_pymc(name):
    variable = getattr(pm, name).dist(**values(name, DISTRIBUTIONS[name].parameterisations[0]))
    assert variable.dtype.startswith("int") == DISTRIBUTIONS[name].discrete


def test_location_and_scale_move_and_stretch():
    for family in DISTRIBUTIONS.values():
        if family.location_scale:
            assert {family.location, family.scale} <= set(family.kwargs)
            assert family.support is Support.REAL


def test_transforms_exist():
    import pytensor.tensor as pt

    assert all(hasattr(pt, name) or hasattr(pm.math, name) for name in TRANSFORMS)
    assert set(TRANSFORMS) >= distributions.POSITIVE_TRANSFORMS >= distributions.UNIT_TRANSFORMS
