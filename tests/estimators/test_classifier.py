"""The classifier's numbers: against quadrature, scikit-learn's mode, and the same model compiled."""

# ruff: noqa: N806  (X is scikit-learn's name)
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logsumexp
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split

from posterity import BayesianClassifier
from posterity.errors import ConfigError, ModelError
from posterity.estimators import FlaggedWarning, concave, logistic, softmax

type Floats = NDArray[np.float64]

OWN: dict[str, Any] = {
    "parameters": {
        "intercept": logistic.PRIORS["intercept"],
        "coef": {**logistic.PRIORS["coef"], "dims": "feature"},
    },
    "quantities": {"eta": {"expression": "intercept + coef[0] * x0 + coef[1] * x1"}},
    "likelihood": {"dist": "Bernoulli", "kwargs": {"logit_p": "eta"}},
    "coords": {"feature": [0, 1]},
}


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
        found.predict_proba(X[:200]), mode.predict_proba((X[:200] - X.mean(axis=0)) / scale), atol=0.01
    )


def classes(rows: int, features: int, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Three classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, features))
    return 3 * X + 5, (X @ rng.normal(size=(features, 3)) + rng.gumbel(size=(rows, 3))).argmax(axis=1)


def reference(z: Floats, target: softmax.Softmax) -> float:
    """The log density, by the definition: of every class's own coefficients, centred ones here."""
    own = z.reshape(target.shape) @ target.basis
    scores = target.design @ own
    likelihood = scores[np.arange(len(scores)), target.codes] - logsumexp(scores, axis=1)
    away = own - target.mean[:, None] * (target.classes == 2)
    return float(
        likelihood.sum() - 0.5 * (away[:, int(target.classes == 2) :] ** 2 / target.sd[:, None] ** 2).sum()
    )


@pytest.mark.parametrize("several", [2, 3, 5])
def test_the_density_and_its_derivatives(several: int) -> None:
    rng = np.random.default_rng(several)
    design = np.column_stack([np.ones(30), rng.normal(size=(30, 2))])
    mean, sd = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    target = softmax.Softmax(design, rng.integers(0, several, 30), several, mean, sd)
    thetas = rng.normal(size=(4, target.dimension))
    np.testing.assert_allclose(target.densities(thetas), [reference(t, target) for t in thetas])
    theta, step = thetas[0], 1e-5 * np.eye(target.dimension)
    value, gradient, hessian = target.evaluate(theta)
    assert -value == pytest.approx(reference(theta, target))
    ups, downs = ([target.evaluate(theta + sign * s) for s in step] for sign in (1, -1))
    found = [(u[0] - d[0]) / 2e-5 for u, d in zip(ups, downs, strict=True)]
    np.testing.assert_allclose(gradient, found, rtol=1e-5, atol=1e-6)
    found = [(u[1] - d[1]) / 2e-5 for u, d in zip(ups, downs, strict=True)]
    np.testing.assert_allclose(hessian, found, rtol=1e-5, atol=1e-6)


def test_three_classes_with_many_rows_are_scikit_learns_ridge() -> None:
    X, y = classes(4_000, 3)
    wide = {"intercept": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 100}}}
    found = BayesianClassifier(priors=wide).fit(X, y)
    scale = X.std(axis=0)
    mode = LogisticRegression(C=2.5**2, tol=1e-8).fit((X - X.mean(axis=0)) / scale, y)
    assert found.coef_.shape == (3, 3)
    assert found.intercept_.shape == (3,)
    assert found.posterior_["coef"].shape == (4, 1000, 3, 3)
    np.testing.assert_allclose(found.coef_.sum(axis=0), 0, atol=1e-9)
    sd = found.posterior_["coef"].std(axis=(0, 1))
    np.testing.assert_array_less(np.abs(found.coef_ - mode.coef_ / scale), 0.2 * sd)
    expected = mode.predict_proba((X[:200] - X.mean(axis=0)) / scale)
    np.testing.assert_allclose(found.predict_proba(X[:200]), expected, atol=0.01)
    other = BayesianClassifier(priors={"coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 0.02}}}).fit(
        X, y
    )
    assert np.abs(other.predict_proba(X[:200]) - expected).max() > 0.05


def test_laplace_and_nuts_agree() -> None:
    X, y = classes(80, 2)
    laplace, nuts = (BayesianClassifier(method=method).fit(X, y) for method in ("laplace", "nuts"))
    assert nuts.diagnostics_["method"] == "nuts"
    sd = nuts.posterior_["coef"].std(axis=(0, 1))
    np.testing.assert_array_less(np.abs(laplace.coef_ - nuts.coef_), 0.12 * sd)
    np.testing.assert_allclose(laplace.posterior_["coef"].std(axis=(0, 1)), sd, rtol=0.12)
    np.testing.assert_allclose(laplace.predict_proba(X), nuts.predict_proba(X), atol=0.015)


def test_iris() -> None:
    X, y = load_iris(return_X_y=True)
    named = np.array(["setosa", "versicolor", "virginica"])[y]
    assert (
        cross_val_score(BayesianClassifier(method="laplace", gates={"ess": 1}), X, named, cv=3).mean() > 0.93
    )


def test_many_unknowns_are_flagged_and_predict(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = classes(300, 30)
    monkeypatch.setattr(concave, "MOST_WORK", 0)
    with pytest.warns(FlaggedWarning, match="Gaussian at the mode"):
        found = BayesianClassifier().fit(X, y)
    assert found.diagnostics_["method"] == "laplace"
    assert found.score(X, y) > 0.7


def test_too_many_unknowns_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "MOST_UNKNOWNS", 5)
    with pytest.raises(ModelError, match="2 features and 3 classes are 6 unknowns"):
        BayesianClassifier().fit(*classes(30, 2))


@pytest.mark.slow
@pytest.mark.parametrize("several", [2, 3])
def test_the_compiled_model_has_the_same_posterior(several: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = classes(80, 2)
    y = np.minimum(y, several - 1)
    closed = BayesianClassifier(draws=4_000).fit(X, y)
    monkeypatch.setattr(logistic, "_normals", lambda *_: None)
    built = BayesianClassifier(draws=4_000).fit(X, y)
    assert closed.config_ == built.config_
    sd = built.posterior_["coef"].std(axis=(0, 1))
    np.testing.assert_array_less(np.abs(closed.coef_ - built.coef_), 0.1 * np.atleast_2d(sd))
    np.testing.assert_allclose(closed.posterior_["coef"].std(axis=(0, 1)), sd, rtol=0.1)
    np.testing.assert_allclose(closed.predict_proba(X), built.predict_proba(X), atol=0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::posterity.estimators.FlaggedWarning")
def test_digits() -> None:
    X, y = load_digits(return_X_y=True)
    train, test, of_train, of_test = train_test_split(X, y, random_state=0)
    found = BayesianClassifier().fit(train, of_train)
    assert found.score(test, of_test) > 0.92
    assert found.diagnostics_["status"] == "flagged"


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


def test_one_class_is_refused() -> None:
    X, _ = table(30, 2)
    with pytest.raises(ValueError, match="one class only"):
        BayesianClassifier().fit(X, np.zeros(30))


def test_a_model_of_ones_own() -> None:
    X, y = table(300, 2)
    X -= X.mean(axis=0)
    named = np.array(["below", "over"])[y]
    own, default = BayesianClassifier(OWN).fit(X, named), BayesianClassifier().fit(X, named)
    assert own.posterior_["coef"].shape == (4, 1000, 2)
    assert not hasattr(own, "coef_")
    assert (own.predict(X) == default.predict(X)).mean() > 0.98
    np.testing.assert_allclose(own.predict_proba(X), default.predict_proba(X), atol=0.05)
    with pytest.raises(ConfigError, match=r"target is binary .* y has 3 classes"):
        BayesianClassifier(OWN).fit(X, np.arange(300) % 3)


@pytest.mark.slow
def test_a_function_of_ones_own_with_three_classes() -> None:
    X, y = classes(200, 2)
    model = logistic.model_section(2, 3, logistic.PRIORS)
    found = BayesianClassifier(model, method="laplace", gates={"ess": 1}).fit(
        X - 5, np.array(["a", "b", "c"])[y]
    )
    expected = BayesianClassifier().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(found.predict_proba(X - 5), expected, atol=0.1)
    with pytest.raises(ValueError, match="the model has 3 classes, and y had 2"):
        BayesianClassifier(model, method="laplace", gates={"ess": 1}).fit(X, y > 0).predict_proba(X)


def test_a_likelihood_without_classes_is_refused() -> None:
    model = {**OWN, "likelihood": {"dist": "Normal", "kwargs": {"mu": "eta", "sigma": 1}}}
    with pytest.raises(ConfigError, match=r"target is real .Normal.*likelihood is Bernoulli"):
        BayesianClassifier(model).fit(*table(20, 2))


def test_priors_have_a_number_for_each_feature() -> None:
    def priors(*sigma: float) -> dict[str, Any]:
        return {"coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": list(sigma)}}}

    with pytest.raises(ConfigError, match="coef has 2 numbers for sigma, and X has 3 features"):
        BayesianClassifier(priors=priors(1.0, 2.0)).fit(*table(40, 3))
    X, y = classes(100, 2)
    found = BayesianClassifier(priors=priors(2.0, 1e-3), method="laplace").fit(X, y)
    assert (np.abs(found.coef_[:, 0]) > 20 * np.abs(found.coef_[:, 1])).any()
