"""Readable priors: the support is kept, the declared family where it fits, and the arguments are right."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from posterity.config import PriorSpec
from posterity.errors import ModelError
from posterity.portfolio.readable import FITTED, readable
from posterity.portfolio.structure import bounds

RNG = np.random.default_rng(3)
SIZE = 2_000


def spec(dist: str, transform: str | None = None, dims: tuple[str, ...] = (), **kwargs: Any) -> PriorSpec:
    return PriorSpec(dist=dist, kwargs=kwargs, transform=transform, dims=dims)


FAR = RNG.normal(0.0794, 0.0009, SIZE)
SHARE = RNG.beta(30, 4, SIZE)

CASES: list[tuple[PriorSpec, np.ndarray, str]] = [
    (spec("Normal", mu=0.0, sigma=1.0), RNG.normal(3, 0.2, SIZE), "Normal"),
    (spec("Normal", mu=0.0, sigma=1.0), 1e6 + RNG.standard_t(3, SIZE), "StudentT"),
    (spec("HalfNormal", sigma=1.0), np.abs(RNG.normal(0, 0.3, SIZE)), "HalfNormal"),
    (spec("HalfNormal", sigma=1.0), FAR, "Gamma"),
    (spec("HalfCauchy", beta=1.0), np.exp(RNG.normal(-9, 1, SIZE)), "LogNormal"),
    (spec("LogNormal", mu=0.0, sigma=1.0), np.exp(RNG.normal(5, 0.2, SIZE)), "LogNormal"),
    (spec("Exponential", lam=1.0), FAR, "Gamma"),
    (spec("Exponential", lam=1.0), RNG.exponential(1e-5, SIZE), "Exponential"),
    (spec("Beta", alpha=1.0, beta=1.0), SHARE, "Beta"),
    (spec("Uniform", lower=0.0, upper=1.0), SHARE, "Beta"),
    (spec("Uniform", lower=-1.0, upper=2.0), 3 * SHARE - 1, "TruncatedNormal"),
    (spec("TruncatedNormal", lower=0.0, sigma=2.0), np.abs(RNG.normal(0.5, 1, SIZE)), "TruncatedNormal"),
    (spec("Pareto", alpha=2.0, m=1.0), 1 + FAR, "TruncatedNormal"),
    (spec("VonMises", mu=0.0, kappa=1.0), RNG.vonmises(3, 30, SIZE), "VonMises"),
    (spec("Normal", "exp", mu=0.0, sigma=1.0), np.exp(RNG.normal(5, 0.2, SIZE)), "Normal"),
    (spec("Normal", "sigmoid", mu=0.0, sigma=1.0), 1 / (1 + np.exp(-RNG.normal(2, 0.2, SIZE))), "Normal"),
    (spec("Normal", "sqr", mu=0.0, sigma=1.0), RNG.gamma(40, 1, SIZE), "Gamma"),
]


@pytest.mark.parametrize(("declared", "draws", "family"), CASES, ids=lambda v: getattr(v, "dist", ""))
def test_the_family_keeps_the_support_and_describes_the_draws(
    declared: PriorSpec, draws: np.ndarray, family: str
) -> None:
    found = readable("x", declared, draws)
    assert found.dist == family
    own = _drawn(found)
    # The draws' own noise in their mean and sd is 2 % of the sd; heavy tails have more.
    loose = 3 if family == "StudentT" else 1
    assert abs(np.median(own) - np.median(draws)) < 0.12 * loose * draws.std()
    assert np.subtract(*np.quantile(own, [0.9, 0.1])) == pytest.approx(
        np.subtract(*np.quantile(draws, [0.9, 0.1])), rel=0.12
    )
    if declared.transform is None:
        low, high = bounds(declared) or (0, 0)
        assert low <= own.min()
        assert own.max() <= high


def _drawn(found: PriorSpec) -> np.ndarray:
    if found.dist == "TruncatedNormal":  # seconds to compile in PyTensor
        mu, sigma = found.kwargs["mu"], found.kwargs["sigma"]
        low, high = (found.kwargs.get(k, d) for k, d in (("lower", -np.inf), ("upper", np.inf)))
        ends = (low - mu) / sigma, (high - mu) / sigma
        return np.asarray(stats.truncnorm.rvs(*ends, loc=mu, scale=sigma, size=4_000, random_state=1))
    own = pm.draw(getattr(pm, found.dist).dist(**found.kwargs), 4_000, random_seed=1, mode="FAST_COMPILE")
    undone: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "exp": np.exp,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    }
    return np.asarray(undone[found.transform](own) if found.transform else own)


def test_a_vector_has_one_family_and_its_own_numbers_for_every_entry() -> None:
    draws = RNG.normal([1, 20, 300], [0.1, 2, 30], (SIZE, 3))
    found = readable("theta", spec("Normal", dims=("k",), mu=0.0, sigma=1.0), draws)
    assert found.dims == ("k",)
    assert found.kwargs["mu"] == pytest.approx((1, 20, 300), rel=0.05)
    assert found.kwargs["sigma"] == pytest.approx((0.1, 2, 30), rel=0.1)


def test_nested_and_named_arguments_become_numbers() -> None:
    nested = spec("Normal", mu="other", sigma=spec("HalfNormal", sigma=1.0))
    found = readable("x", nested, RNG.normal(3, 0.2, SIZE))
    assert all(isinstance(v, float) for v in found.kwargs.values())


def test_the_choice_does_not_hang_on_the_number_of_stored_draws() -> None:
    slightly_skew = RNG.gamma(400, 1 / 400, 64_000)
    declared = spec("Normal", mu=0.0, sigma=1.0)
    assert readable("x", declared, slightly_skew).dist == readable("x", declared, slightly_skew[::64]).dist


@pytest.mark.parametrize(
    ("declared", "draws", "message"),
    [
        (spec("Normal", mu=0.0), np.ones(50), "all the same"),
        (spec("Normal", mu=0.0), np.array([1.0, np.nan, 2.0]), "not finite"),
        (spec("Uniform", lower=0.0, upper="top"), FAR, "give the bounds as numbers"),
    ],
)
def test_what_cannot_be_described_is_said(declared: PriorSpec, draws: np.ndarray, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        readable("x", declared, draws)


@pytest.mark.slow
@pytest.mark.parametrize("family", FITTED)
def test_arguments_mean_the_same_to_preliz_and_pymc_after_standardising(family: str) -> None:
    """Scaled and shifted data: a family whose argument moved the wrong way is not the one that drew them."""
    values = {
        "Normal": (3.0, 2.0),
        "Laplace": (3.0, 2.0), "Logistic": (3.0, 2.0), "Gumbel": (3.0, 2.0), "Cauchy": (3.0, 2.0),
        "Moyal": (3.0, 2.0), "Gamma": (3.0, 40.0), "LogNormal": (-4.0, 0.5), "InverseGamma": (6.0, 40.0),
        "Weibull": (2.0, 0.02), "HalfNormal": (0.02,), "HalfCauchy": (0.02,), "Exponential": (30.0,),
        "Wald": (20.0, 90.0), "Beta": (4.0, 9.0), "LogitNormal": (1.0, 0.5), "Kumaraswamy": (3.0, 5.0),
        "VonMises": (1.0, 5.0),
    }  # fmt: skip
    named: dict[str, dict[str, float]] = {
        "SkewNormal": {"alpha": 5.0, "mu": 3.0, "sigma": 2.0},
        "HalfStudentT": {"nu": 5.0, "sigma": 0.02},
        "StudentT": {"nu": 5.0, "mu": 3.0, "sigma": 2.0},
    }
    dist = getattr(pm, family)
    truth = dist.dist(**named[family]) if family in named else dist.dist(*values[family])
    draws = np.asarray(pm.draw(truth, 4_000, random_seed=2, mode="FAST_COMPILE"))
    found = readable("x", PriorSpec(dist=family, kwargs={}), draws)
    if found.dist == family:
        mine = pm.logp(dist.dist(**found.kwargs), draws).eval(mode="FAST_COMPILE").sum()
        assert mine >= pm.logp(truth, draws).eval(mode="FAST_COMPILE").sum() - 8
    else:
        pytest.fail(f"{family} gave way to {found.dist} on draws of its own")
