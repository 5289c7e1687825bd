"""The joint density against the sum of what it is made of, one entity at a time."""

from functools import cache

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import stats

from posterity.errors import ModelError
from posterity.models import smooths
from posterity.models.arrays import arrays
from posterity.models.correlations import cholesky, partial_correlations
from posterity.models.joint import MEAN, OFFSET, OWN, RAW, SD, SHARED, JointModel, Pooling, build_joint
from tests.entities import configuration, inputs, interpreted, prior, rows, smoothed

LINE = configuration(
    {"dist": "Normal", "kwargs": {"mu": "line", "sigma": prior("HalfNormal", sigma=2)}},
    {"a": prior("Normal", mu=1, sigma=2), "b": prior("LogNormal", mu=0, sigma=0.5)},
    {"line": {"expression": "a + b * x"}},
)
GROUPS = configuration(
    {"dist": "Poisson", "kwargs": {"mu": "rate"}},
    {"z": {**prior("Normal", mu=0, sigma=1), "dims": ["kind"]}, "c": prior("Gamma", alpha=2, beta=1)},
    {"rate": {"expression": "exp(z[kind]) + c * exp(z[0])"}},
    coords={"kind": ["p", "q"]},
)
AR = configuration(
    {
        "dist": "Normal",
        "kwargs": {"mu": "level", "sigma": prior("HalfNormal", sigma=1)},
        "errors": {"ar1": {"rho": prior("Beta", alpha=2, beta=2)}},
    },
    {"level": prior("Normal", mu=0, sigma=1)},
    time="week",
)
TREND = smoothed(
    configuration(
        {"dist": "Normal", "kwargs": {"mu": "mu", "sigma": 0.4}},
        {"level": prior("Normal", mu=0, sigma=1)},
        {"trend": {"expression": "smooth(week, m=12, high=9, low=0)"}, "mu": {"expression": "level + trend"}},
    )
)
PANELS = {
    "line": (LINE, [rows([1.0, 2, 4], x=[0.0, 1, 2]), rows([0.5], x=[3.0]), rows([2.0, 2], x=[1.0, 5])]),
    "vectors": (GROUPS, [rows([1, 3, 0], kind=["p", "q", "q"]), rows([2, 5], kind=["q", "p"])]),
    "ar": (AR, [rows([0.1, 0.4, 0.2], week=[1.0, 2, 4]), rows([1.0, 1.1], week=[5.0, 6])]),
    "smooth": (TREND, [rows([0.1, 0.4, 0.2], week=[1.0, 2, 9]), rows([1.0, 1.1], week=[5.0, 6])]),
}


@cache
def trend():
    return interpreted(TREND)


def pooled(model, shared=(), independent=(), *, full=False, centered=True):
    def where(names):
        return np.flatnonzero([owner in names for owner in model.owners])

    rest = set(model.owners) - set(shared) - set(independent)
    size = len(model.owners)
    return Pooling(
        where(rest), where(shared), where(independent), np.zeros(size), np.ones(size), {}, full, centered
    )


def joint(model, given, pooling, **options) -> JointModel:
    data = [arrays(model.description, r) for r in given]
    kinds = {v.name: v.dtype for v in model.built.model.data_vars}
    every = {name: np.concatenate([d[name] for d in data]).astype(kinds[name]) for name in data[0]}
    owner = np.repeat(np.arange(len(given)), [r.n for r in given])
    return build_joint(model.built, pooling, every, owner, len(given), **options)


def term(built: JointModel, name: str, **values: np.ndarray) -> float:
    """One potential of the joint model at these values, the other variables at their start."""
    point = {**built.model.initial_point(), **values}
    graph = built.model.replace_rvs_by_values([built.model[name]])
    return float(
        pm.compile(built.model.value_vars, graph, mode="FAST_COMPILE", on_unused_input="ignore")(
            *(point[v.name] for v in built.model.value_vars)
        )[0]
    )


@pytest.mark.parametrize("kind", PANELS)
def test_the_likelihood_is_the_sum_of_the_entities(kind):
    config, given = PANELS[kind]
    model = trend() if kind == "smooth" else interpreted(config)
    thetas = np.random.default_rng(1).normal(0, 0.5, (len(given), model.dimension))
    built = joint(model, given, pooled(model))
    wanted = sum(
        model.densities(theta[None], inputs(model, r))[0] - prior_density(model, theta, r)
        for theta, r in zip(thetas, given, strict=True)
    )
    assert term(built, "likelihood", theta=thetas) == pytest.approx(wanted, abs=1e-8)
    # The twin that must fail: the same parameters of other entities.
    assert abs(term(built, "likelihood", theta=thetas[::-1]) - wanted) > 0.01


def test_a_smooth_whose_amplitude_is_shared_or_whose_weights_are_independent():
    model, given = trend(), PANELS["smooth"][1]
    shared = [n for n in ("trend_amplitude", "trend_lengthscale") if n in model.owners]
    own = [i for i, owner in enumerate(model.owners) if owner not in shared]
    thetas = np.random.default_rng(1).normal(0, 0.5, (2, model.dimension))
    common = np.flatnonzero(np.isin(model.owners, shared))
    thetas[:, common] = thetas[0, common]
    pooling = pooled(model, shared)
    wanted = term(joint(model, given, pooled(model)), "likelihood", theta=thetas)
    found = term(joint(model, given, pooling), "likelihood", theta=thetas[:, own], shared=thetas[0, common])
    assert found == pytest.approx(wanted, abs=1e-8)
    # Weights without a population keep the prior that amplitude and length scale give them.
    thetas[1, common] += 1
    weights = np.flatnonzero(np.array(model.owners) == "trend_weights")
    alone = joint(model, given, pooled(model, independent=["trend_weights"]))
    rest = np.setdiff1d(np.arange(model.dimension), weights)
    labels = dict(zip(model.unconstrained_names, thetas.T, strict=True))
    smooth = model.description.smooths["trend"]
    declared = 0.0
    for e in range(2):
        amplitude, scale = (np.exp(labels[f"trend_{n}_log__"][e]) for n in ("amplitude", "lengthscale"))
        sizes = smooths.scaling(smooth, pt.as_tensor(amplitude), pt.as_tensor(scale)).eval()
        declared += stats.norm(0, sizes).logpdf(thetas[e, weights]).sum()
    place = {"theta": thetas[:, rest], "independent": thetas[:, weights]}
    assert term(alone, "declared", **place) == pytest.approx(declared)


def prior_density(model, theta, given) -> float:
    single = model.built.model
    point, start = {}, 0
    for value, (name, begin) in zip(single.value_vars, single.initial_point().items(), strict=True):
        size = int(np.size(begin))
        point[name], start = theta[start : start + size].reshape(np.shape(begin)), start + size
        assert value.name == name
    graph = single.logp(vars=single.free_RVs, jacobian=True)
    with single:
        pm.set_data(
            {n: v.reshape(-1 if single[n].ndim else ()) for n, v in model.description.numbers.items()}
        )
    return float(
        pm.compile(single.value_vars, graph, mode="FAST_COMPILE", on_unused_input="ignore")(
            *(point[v.name] for v in single.value_vars)
        )
    )


def test_shared_and_independent_parameters_keep_their_declared_priors():
    config, given = PANELS["line"]
    model = interpreted(config)
    built = joint(model, given, pooled(model, shared=["sigma"], independent=["b"]))
    b, sigma = np.array([[0.3], [-0.2], [1.0]]), np.array([-0.4])
    wanted = stats.norm(0, 0.5).logpdf(b).sum() + stats.halfnorm(scale=2).logpdf(np.exp(sigma))[0] + sigma[0]
    assert term(built, "declared", independent=b, shared=sigma) == pytest.approx(wanted)
    assert built.names == (MEAN, SD, OWN, SHARED, "independent")
    draws = {MEAN: np.zeros((1, 2, 1)), SD: np.ones((1, 2, 1)), OWN: np.full((1, 2, 3, 1), 7.0)}
    draws |= {SHARED: np.full((1, 2, 1), 8.0), "independent": np.arange(6.0).reshape(1, 2, 3, 1)}
    assert built.thetas(draws, slice(1, 3))[0, 1].tolist() == [[7, 4, 8], [7, 5, 8]]


def test_offsets_and_own_values_are_the_same_model():
    config, given = PANELS["line"]
    model = interpreted(config)
    one, other = (joint(model, given, pooled(model, full=True, centered=c)) for c in (False, True))
    rng = np.random.default_rng(2)
    draws = {
        MEAN: rng.normal(size=(1, 1, 3)),
        SD: rng.gamma(4, 0.2, (1, 1, 3)),
        RAW: rng.normal(size=(1, 1, 3)),
    }
    z = rng.normal(size=(1, 1, 3, 3))
    thetas = one.thetas({**draws, OFFSET: z}, slice(None))
    free = {RAW: draws[RAW][0, 0], MEAN: draws[MEAN][0, 0]}
    free |= {
        f"spread_{rv.name}_log__": np.log(draws[SD][0, 0, [i]])
        for i, rv in enumerate(model.built.model.free_RVs)
    }
    a = term(one, "likelihood", offset=z[0, 0], **free)
    assert a == pytest.approx(term(other, "likelihood", theta=thetas[0, 0]))
    covariance = one.lower(draws)[0, 0] @ one.lower(draws)[0, 0].T
    assert np.sqrt(np.diag(covariance)) == pytest.approx(draws[SD][0, 0])


def test_partial_correlations_have_the_lkj_prior():
    # Every correlation of an LKJ(η) matrix of size K is Beta(η + K/2 - 1) on (-1, 1).
    size, rng = 3, np.random.default_rng(3)
    with pm.Model() as model:
        partial_correlations("raw", size)
    density = model.compile_logp(jacobian=True)
    raw = rng.normal(0, 1.2, (20_000, 3))
    logs = np.array([density({"raw": r}) for r in raw]) - stats.norm(0, 1.2).logpdf(raw).sum(axis=1)
    weights = np.exp(logs - logs.max())
    lower = np.array(
        [
            np.stack(np.broadcast_arrays(*row, raw[:, 0])[:-1])
            for row in cholesky(list(np.tanh(raw).T), size, np)
        ]
    )
    correlations = np.einsum("iks,jks->sij", lower, lower)
    assert np.allclose(np.einsum("sii->si", correlations), 1)
    beta = stats.beta(2 + size / 2 - 1, 2 + size / 2 - 1, loc=-1, scale=2)
    for i, j in ((1, 0), (2, 0), (2, 1)):
        found = np.average(correlations[:, i, j] ** 2, weights=weights)
        assert found == pytest.approx(beta.var(), rel=0.05)
        assert found != pytest.approx(stats.beta(1.5, 1.5, loc=-1, scale=2).var(), rel=0.05)


def test_a_minibatch_is_scaled_to_all_rows():
    config, _ = PANELS["line"]
    model = interpreted(config)
    given = [rows(np.full(10, 2.0), x=np.full(10, 1.0)) for _ in range(4)]
    built = joint(model, given, pooled(model), minibatch=5)
    whole = joint(model, given, pooled(model))
    assert term(built, "likelihood") == pytest.approx(term(whole, "likelihood"))


def test_a_minibatch_of_a_smooth_has_rows_and_their_basis_together():
    model, given = trend(), PANELS["smooth"][1]
    thetas = np.random.default_rng(1).normal(0, 0.5, (2, model.dimension))
    built = joint(model, given, pooled(model), minibatch=1)
    graph = built.model.replace_rvs_by_values([built.model["likelihood"]])
    function = pm.compile(built.model.value_vars, graph, mode="FAST_COMPILE", on_unused_input="ignore")
    point = {**built.model.initial_point(), "theta": thetas}
    values = [point[v.name] for v in built.model.value_vars]
    found = {round(float(function(*values)[0]) / 5, 6) for _ in range(40)}
    # What is missing where one row is left out is that row's share.
    shares = set()
    for theta, own in zip(thetas, given, strict=True):
        for i in range(own.n):
            rest = rows(np.delete(own.target, i), week=np.delete(own.columns["week"], i))
            whole, less = (model.densities(theta[None], inputs(model, r))[0] for r in (own, rest))
            shares.add(round(float(whole - less), 6))
    assert found == shares


@pytest.mark.parametrize(
    ("config", "shared", "options", "message"),
    [
        (AR, (), {"minibatch": 2}, "depend on the row before"),
        (
            configuration(
                {"dist": "Normal", "kwargs": {"mu": "a", "sigma": "s"}},
                {"a": prior("HalfNormal", sigma=1), "s": prior("HalfNormal", sigma="a")},
            ),
            ("s",),
            {},
            "refers to a parameter",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused_with_a_sentence(config, shared, options, message):
    model = interpreted(config)
    given = [rows([1.0, 2], week=[1.0, 2]), rows([1.0], week=[1.0])]
    with pytest.raises(ModelError, match=message):
        joint(model, given, pooled(model, shared), **options)
