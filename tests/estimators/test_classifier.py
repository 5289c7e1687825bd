"""The classifier's numbers: against quadrature, scikit-learn's mode, other widths of its structure."""

# ruff: noqa: N806  (X is scikit-learn's name)
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from posterity import BayesianClassifier
from posterity.errors import ConfigError
from posterity.estimators import logistic

type Floats = NDArray[np.float64]

# The structure of the default model, so that nothing more is compiled.
OWN = logistic.model_section(4, logistic.PRIORS)


def table(rows: int, features: int, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, features))
    beta = rng.normal(size=features)
    return 3 * X + 5, rng.binomial(1, expit(0.5 + X @ beta))


def test_the_posterior_is_that_of_quadrature() -> None:
    X, y = table(25, 1)
    found = BayesianClassifier(draws=5_000).fit(X, y)
    scaled = (X[:, 0] - X.mean()) / X.std()
    a, b = np.meshgrid(np.linspace(-8, 8, 400), np.linspace(-9, 9, 400))
    eta = a[..., None] + b[..., None] * scaled
    density = (y * eta - np.logaddexp(0, eta)).sum(-1) - (a**2 + b**2) / (2 * 2.5**2)
    weights = np.exp(density - density.max())
    weights /= weights.sum()
    np.testing.assert_allclose(found.predict_proba(X)[:, 1], np.tensordot(weights, expit(eta), 2), atol=0.01)
    slope, sd = (weights * b).sum(), np.sqrt((weights * b**2).sum() - (weights * b).sum() ** 2)
    assert found.coef_[0, 0] * X.std() == pytest.approx(slope, abs=0.05 * sd)
    assert found.posterior_["coef"].std() * X.std() == pytest.approx(sd, rel=0.05)
    # A narrower prior is told apart.
    narrow = {"coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 0.3}}}
    other = BayesianClassifier(priors=narrow).fit(X, y)
    assert abs(other.coef_[0, 0] * X.std() - slope) > 0.2 * sd


def test_with_many_rows_it_is_scikit_learns_ridge() -> None:
    X, y = table(4_000, 3)
    wide = {"intercept": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 100}}}
    found = BayesianClassifier(priors=wide).fit(X, y)
    scale = X.std(axis=0)
    mode = LogisticRegression(C=2.5**2, tol=1e-8).fit((X - X.mean(axis=0)) / scale, y)
    sd = found.posterior_["coef"].std(axis=(0, 1))
    np.testing.assert_array_less(np.abs(found.coef_ - mode.coef_ / scale), 0.2 * sd[None])
    np.testing.assert_allclose(
        found.predict_proba(X), mode.predict_proba((X - X.mean(axis=0)) / scale), atol=0.01
    )


def test_columns_of_zeros_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table(60, 4)
    four = BayesianClassifier(draws=4_000).fit(X, y)
    monkeypatch.setattr(logistic, "width", lambda features: 8)
    eight = BayesianClassifier(draws=4_000).fit(X, y)
    sd = four.posterior_["coef"].std(axis=(0, 1))
    np.testing.assert_array_less(np.abs(four.coef_ - eight.coef_), 0.08 * sd[None])
    np.testing.assert_allclose(eight.posterior_["coef"].std(axis=(0, 1)), sd, rtol=0.08)
    np.testing.assert_allclose(four.predict_proba(X), eight.predict_proba(X), atol=0.01)


@pytest.mark.parametrize(("features", "width"), [(1, 4), (4, 4), (5, 8), (16, 16), (17, 32)])
def test_the_width_of_a_structure(features: int, width: int) -> None:
    assert logistic.width(features) == width


def test_many_features_are_parts_of_the_predictor() -> None:
    section = logistic.model_section(40, logistic.PRIORS)
    assert list(section["quantities"]) == ["part_0", "part_1", "part_2", "part_3"]
    assert section["likelihood"]["kwargs"] == {"logit_p": "part_3"}


@pytest.mark.parametrize("labels", [("no", "yes"), (False, True), (7, -3)])
def test_labels_may_be_anything(labels: tuple[Any, Any]) -> None:
    X, y = table(60, 2)
    named = np.array(labels)[y]
    found = BayesianClassifier().fit(X, named)
    assert found.classes_.tolist() == sorted(labels)
    assert set(found.predict(X)) <= set(labels)
    proba = found.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (found.classes_[proba.argmax(axis=1)] == found.predict(X)).all()
    assert found.score(X, named) > 0.6


def test_two_classes_are_needed() -> None:
    X, _ = table(30, 2)
    with pytest.raises(ValueError, match=r"Only binary classification is supported\..*multiclass"):
        BayesianClassifier().fit(X, np.arange(30) % 3)
    with pytest.raises(ValueError, match="one class only"):
        BayesianClassifier().fit(X, np.zeros(30))


def test_a_model_of_ones_own() -> None:
    X, y = table(300, 4)
    X -= X.mean(axis=0)
    named = np.array(["below", "over"])[y]
    own, default = BayesianClassifier(OWN).fit(X, named), BayesianClassifier().fit(X, named)
    assert own.posterior_["coef"].shape == (4, 1000, 4)
    assert not hasattr(own, "coef_")
    assert (own.predict(X) == default.predict(X)).mean() > 0.98
    np.testing.assert_allclose(own.predict_proba(X), default.predict_proba(X), atol=0.05)


def test_a_likelihood_that_is_no_bernoulli_is_refused() -> None:
    model = {**OWN, "likelihood": {"dist": "Normal", "kwargs": {"mu": "part_0", "sigma": 1}}}
    with pytest.raises(ConfigError, match="likelihood is Normal; a classifier's is Bernoulli"):
        BayesianClassifier(model).fit(*table(20, 4))


def test_priors_have_a_number_for_each_feature() -> None:
    def priors(*sigma: float) -> dict[str, Any]:
        return {**logistic.PRIORS, "coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": list(sigma)}}}

    with pytest.raises(ConfigError, match="coef has 2 numbers for sigma, and X has 3 features"):
        BayesianClassifier(priors=priors(1.0, 2.0)).fit(*table(40, 3))
    coef = logistic.model_section(3, priors(1.0, 2.0, 3.0))["parameters"]["coef"]
    assert coef["kwargs"] == {"mu": 0, "sigma": [1.0, 2.0, 3.0, 3.0]}
