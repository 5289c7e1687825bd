"""The regressor's numbers: against closed forms, against a portfolio, on simulated data."""

# ruff: noqa: N803, N806  (X is scikit-learn's name)
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

import posterity
from posterity import BayesianRegressor
from posterity.config import load
from posterity.config.curves import BUILTIN_CURVES
from posterity.errors import ConfigError, ModelError, PanelError
from posterity.estimators import FlaggedWarning, linear
from posterity.inference.posterior import Failure

type Floats = NDArray[np.float64]

CURVE = {
    "parameters": {
        "lambda_val": {"dist": "HalfNormal", "kwargs": {"sigma": 1}},
        "intercept": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}},
    },
    "quantities": {"curve": {"function": "negative_exponential", "arguments": {"x": "x0"}}},
    "likelihood": {
        "dist": "Normal",
        "kwargs": {"mu": "curve", "sigma": {"dist": "HalfNormal", "kwargs": {"sigma": 1}}},
    },
}
COUNTS = {
    "parameters": {
        "level": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 3}},
        "slope": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}},
    },
    "quantities": {"rate": {"expression": "exp(level + slope * dose)"}},
    "likelihood": {"dist": "Poisson", "kwargs": {"mu": "rate"}},
}


def table(rows: int, features: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, features)) * 10.0 ** rng.integers(-2, 3, features) + rng.normal(size=features)
    return X, 40 + (X / X.std(axis=0)) @ rng.normal(size=features) + rng.normal(size=rows)


def curve(rows: int = 40, seed: int = 1) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    week = np.arange(1.0, rows + 1)
    return week[:, None], 0.9 * (1 - np.exp(-0.1 * week)) + rng.normal(0, 0.02, rows)


class Exact:
    """Bayesian linear regression by dense algebra over a grid of σ: the posterior of the default model.

    y = Z b + noise with b normal (`widths`) gives y | σ ~ N(0, Z S Zᵀ + σ² I), and b | σ, y in closed form.
    """

    def __init__(self, X: Floats, y: Floats, width: float = 2.5) -> None:
        self.at, self.per = X.mean(axis=0), X.std(axis=0)
        self.level, self.unit = y.mean(), y.std()
        Z, y = self.design(X), (y - self.level) / self.unit
        S = np.eye(Z.shape[1]) * width**2
        self.sigma = np.exp(np.linspace(np.log(1e-3), np.log(8), 1_500))
        # In the basis of the covariance's eigenvectors, so that a grid of 1,500 costs one decomposition.
        values, vectors = np.linalg.eigh(Z @ S @ Z.T)
        variance = np.maximum(values, 0)[:, None] + self.sigma**2
        along = (vectors.T @ y)[:, None]
        density = -0.5 * (np.log(variance) + along**2 / variance).sum(axis=0) - self.sigma
        weights = np.exp(density - density.max()) * self.sigma  # an even grid of log σ
        self.weights = weights / weights.sum()
        precision = [Z.T @ Z / s**2 + np.linalg.inv(S) for s in self.sigma]
        self.covariances = np.linalg.inv(precision)
        self.means = np.stack([c @ Z.T @ y / s**2 for c, s in zip(self.covariances, self.sigma, strict=True)])

    def design(self, X: Floats) -> Floats:
        return np.column_stack([np.ones(len(X)), (X - self.at) / self.per])

    @property
    def coef(self) -> tuple[Floats, Floats]:
        """Mean and sd (p,), in the units of the data."""
        mean = self.weights @ self.means
        second = self.weights @ (self.means**2 + np.diagonal(self.covariances, axis1=1, axis2=2))
        scale = self.unit / self.per
        return scale * mean[1:], scale * np.sqrt(second - mean**2)[1:]

    def share_below(self, bounds: Floats, X: Floats) -> Floats:
        """Posterior predictive probability (n,) of a value below each bound (n,)."""
        Z = self.design(X)
        centre = self.means @ Z.T
        spread = np.sqrt(np.einsum("ni,gij,nj->gn", Z, self.covariances, Z) + self.sigma[:, None] ** 2)
        shares: Floats = self.weights @ stats.norm.cdf(((bounds - self.level) / self.unit - centre) / spread)
        return shares


@pytest.mark.parametrize(("rows", "features"), [(30, 3), (12, 1), (20, 35), (200, 8)])
def test_the_posterior_is_that_of_the_closed_form(rows: int, features: int) -> None:
    X, y = table(rows, features)
    found, exact = BayesianRegressor(draws=5_000).fit(X, y), Exact(X, y)
    mean, sd = exact.coef
    np.testing.assert_array_less(np.abs(found.coef_ - mean), 0.05 * sd)
    np.testing.assert_allclose(found.posterior_["coef"].std(axis=(0, 1)), sd, rtol=0.05)
    sigma = exact.unit * exact.weights @ exact.sigma
    assert found.posterior_["sigma"].mean() == pytest.approx(sigma, rel=0.05)
    new = X + 0.5 * exact.per
    _, bounds = found.predict(new, interval=0.9)
    np.testing.assert_allclose(exact.share_below(bounds[:, 0], new), 0.05, atol=0.008)
    np.testing.assert_allclose(exact.share_below(bounds[:, 1], new), 0.95, atol=0.008)


def test_another_prior_is_another_posterior() -> None:
    X, y = table(12, 3)
    narrow = {"coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 0.3}}}
    found = BayesianRegressor(draws=5_000, priors=narrow).fit(X, y)
    mean, sd = Exact(X, y).coef
    assert (np.abs(found.coef_ - mean) > 0.2 * sd).any()


def test_a_prior_for_each_feature_holds_its_coefficient() -> None:
    X, y = table(50, 2)
    held = {"coef": {"dist": "Normal", "kwargs": {"mu": [0.0, 0.5], "sigma": [2.5, 1e-4]}}}
    found = BayesianRegressor(priors=held).fit(X, y)
    assert found.coef_[1] * X[:, 1].std() / y.std() == pytest.approx(0.5, abs=1e-3)


def test_a_constant_feature_has_no_effect() -> None:
    X, y = table(50, 2)
    found = BayesianRegressor().fit(np.column_stack([X, np.full(50, 1e6)]), y)
    assert abs(found.coef_[2]) < 1e-3 * found.posterior_["coef"][..., 2].std()
    np.testing.assert_allclose(found.coef_[:2], BayesianRegressor().fit(X, y).coef_, rtol=0.01)


def test_intervals_cover_what_they_say() -> None:
    rng = np.random.default_rng(5)
    inside, narrow, rounds, new = np.zeros(2), 0.0, 150, 20
    for _ in range(rounds):
        X, beta = rng.normal(size=(15 + new, 4)), rng.normal(size=4)
        y = 3 + X @ beta + rng.normal(0, 2, len(X))
        mean, bounds = BayesianRegressor(chains=2).fit(X[:15], y[:15]).predict(X[15:], interval=[0.5, 0.9])
        inside += ((bounds[:, 0] <= y[15:, None]) & (y[15:, None] <= bounds[:, 1])).mean(axis=0)
        narrow += (np.abs(y[15:] - mean) < 0.4 * (bounds[:, 1, 1] - bounds[:, 0, 1])).mean()
    share = inside / rounds
    # The sd of the share over data sets of 20 new rows each is about 0.012 and 0.009.
    assert (np.abs(share - [0.5, 0.9]) < [0.04, 0.03]).all()
    # Intervals of a fifth less width, a normal approximation would make such, fail.
    assert abs(narrow / rounds - 0.9) > 0.03


def test_sigma_has_the_draws_of_a_portfolio(tmp_path: Path) -> None:
    X, y = table(30, 3)
    found = BayesianRegressor().fit(X, y)
    scaled, target = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    design = linear.Design.of(scaled, target, linear.PRIORS)
    rows = pd.DataFrame({"_entity": "estimator", **design.columns, "_target": design.target})
    result = posterity.Portfolio(found.config_).fit(rows, out=tmp_path / "result", workers=0)
    draws = result.table("draws.parquet")["sigma"].to_numpy()
    np.testing.assert_allclose(found.posterior_["sigma"].reshape(-1) / y.std(), draws, rtol=1e-6)


def test_a_curve_has_the_draws_of_a_portfolio(tmp_path: Path) -> None:
    X, y = curve()
    found = BayesianRegressor(CURVE).fit(X, y)
    rows = pd.DataFrame({"_entity": "estimator", "x0": X[:, 0], "_target": y})
    result = posterity.Portfolio(found.config_).fit(rows, out=tmp_path / "result", workers=0)
    draws = result.table("draws.parquet")
    for name, values in found.posterior_.items():
        np.testing.assert_array_equal(values.reshape(-1), draws[name].to_numpy())
    about = result.entities.iloc[0]
    assert found.diagnostics_["method"] == about["method"]
    assert found.diagnostics_["ess_bulk"] == pytest.approx(about["ess_bulk"])


def test_a_curve_predicts() -> None:
    X, y = curve()
    found = BayesianRegressor(CURVE).fit(X[:30], y[:30])
    assert found.posterior_["lambda_val"].mean() == pytest.approx(0.1, abs=0.01)
    np.testing.assert_allclose(found.predict(X), 0.9 * (1 - np.exp(-0.1 * X[:, 0])), atol=0.03)
    mean, sd, bounds = found.predict(X[30:], interval=(0.5, 0.9), return_std=True)
    np.testing.assert_array_equal(mean, found.predict(X[30:]))
    assert sd.shape == (10,)
    assert bounds.shape == (10, 2, 2)
    assert (bounds[:, 0, 1] < bounds[:, 0, 0]).all()
    assert ((bounds[:, 0, 1] <= y[30:]) & (y[30:] <= bounds[:, 1, 1])).mean() > 0.6
    assert not hasattr(found, "coef_")


@pytest.mark.parametrize("form", ["path", "config", "section"])
def test_a_shipped_configuration_fits_a_frame_by_its_columns(checkout: Path, form: str) -> None:
    path = checkout / "configs" / "adoption.yaml"
    section = {
        **CURVE,
        "quantities": {"curve": {"function": "negative_exponential", "arguments": {"x": "week"}}},
    }
    model: Any = {"path": path, "config": load(path), "section": section}[form]
    X, y = curve()
    frame = pd.DataFrame({"price": np.ones(len(X)), "week": X[:, 0]})
    found = BayesianRegressor(model).fit(frame, y)
    np.testing.assert_allclose(found.predict(frame), BayesianRegressor(CURVE).fit(X, y).predict(X), atol=2e-3)


def test_counts_are_predicted_by_a_model_of_counts() -> None:
    rng = np.random.default_rng(3)
    dose = rng.uniform(0, 2, 80)
    frame = pd.DataFrame({"dose": dose})
    found = BayesianRegressor(COUNTS).fit(frame, rng.poisson(np.exp(1 + dose)))
    assert found.posterior_["slope"].mean() == pytest.approx(1, abs=0.2)
    _, bounds = found.predict(frame, interval=0.9)
    assert (bounds == np.floor(bounds)).mean() > 0.9
    with pytest.raises(PanelError, match="outside what the likelihood can give"):
        found.fit(frame, dose)


def test_one_structure_serves_every_number_of_features() -> None:
    engine = importlib.import_module("posterity.inference.compiled")
    BayesianRegressor().fit(*table(20, 2))
    before = engine.compilations
    for rows, features in ((20, 1), (50, 7), (10, 30)):
        BayesianRegressor().fit(*table(rows, features))
    assert engine.compilations == before


def test_a_row_has_the_same_bounds_whatever_rows_are_beside_it() -> None:
    X, y = table(40, 3)
    found = BayesianRegressor().fit(X, y)
    together, alone = found.predict(X, interval=0.9)[1], found.predict(X[5:6], interval=0.9)[1]
    np.testing.assert_allclose(together[5:6], alone)


def test_data_on_a_plane_are_fitted() -> None:
    X, _ = table(30, 3)
    found = BayesianRegressor().fit(X, X @ [1.0, 2.0, 3.0] + 4)
    np.testing.assert_allclose(found.coef_, [1, 2, 3], rtol=1e-4)
    constant = BayesianRegressor().fit(X, np.full(30, 7.0))
    np.testing.assert_allclose(constant.predict(X), 7)


def test_a_flagged_posterior_warns_and_says_why() -> None:
    X, y = table(30, 2)
    with pytest.warns(FlaggedWarning, match=r"flagged: bulk ESS .* is below 1e\+06") as caught:
        found = BayesianRegressor(gates={"ess": 1_000_000}, method="laplace").fit(X, y)
    assert caught[0].filename == __file__
    assert found.diagnostics_["status"] == "flagged"
    assert "bulk ESS" in found.diagnostics_["reason"]


def test_no_posterior_is_an_error_that_says_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = Failure("no mode", "nuts", ("laplace: no mode was found", "nuts: could not run"))
    monkeypatch.setattr("posterity.estimators.engine.fit", lambda *_: failure)
    with pytest.raises(ModelError, match=r"laplace: no mode was found; nuts: could not run\. .* narrower"):
        BayesianRegressor().fit(*table(20, 2))


HISTORY = {
    **CURVE,
    "likelihood": {
        **CURVE["likelihood"],
        "errors": {"ar1": {"rho": {"dist": "Beta", "kwargs": {"alpha": 2, "beta": 2}}}},
    },
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": HISTORY}, "rows have no order; fit it with posterity.Portfolio"),
        (
            {"model": {"parameters": CURVE["parameters"], "build": {"function": "a:b", "lookback": 1}}},
            "no order",
        ),
        ({"model": 3}, "model is a int; give the path"),
        ({"model": "nowhere.yaml"}, "cannot be read"),
        ({"model": {"likelihood": {"dist": "Norml"}}}, "Normal"),
        ({"priors": {"coefs": {}}}, "no parameter 'coefs'.*did you mean 'coef'"),
        ({"priors": [1]}, "priors is a list"),
        ({"priors": {"coef": 2.5}}, "priors: coef is 2.5; give"),
        ({"model": CURVE, "priors": {"rate": {}}}, "it has lambda_val, intercept and sigma"),
        ({"priors": {"coef": {"dist": "Laplace", "kwargs": {"mu": 0, "b": 1}}}}, "takes .*'Normal'"),
        ({"priors": {"coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": [1, 2, 3]}}}}, "1 each"),
        ({"priors": {"sigma": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}}}}, "can be negative"),
        ({"draws": 0}, "inference.draws"),
        ({"method": "metropolis"}, "inference.method"),
        ({"gates": {"rhatt": 1.1}}, "rhat"),
    ],
)
def test_impossible_parameters_are_told(arguments: dict[str, Any], message: str) -> None:
    X, y = curve()
    with pytest.raises(ConfigError, match=message):
        BayesianRegressor(**arguments).fit(X, y)


def test_a_missing_column_is_told() -> None:
    X, y = curve()
    with pytest.raises(PanelError, match="reads the column 'x0', and X has time"):
        BayesianRegressor(CURVE).fit(pd.DataFrame({"time": X[:, 0]}), y)


@pytest.mark.parametrize("interval", [0, 1, 90, -0.5, [], [0.5, 2]])
def test_an_interval_is_a_mass(interval: Any) -> None:
    found = BayesianRegressor().fit(*table(20, 2))
    with pytest.raises(ValueError, match="no mass between 0 and 1"):
        found.predict(np.zeros((1, 2)), interval=interval)


def test_priors_replace_those_of_a_model() -> None:
    X, y = curve()
    tight = {"sigma": {"dist": "HalfNormal", "kwargs": {"sigma": np.float64(0.001)}}}
    wide, narrow = BayesianRegressor(CURVE).fit(X, y), BayesianRegressor(CURVE, priors=tight).fit(X, y)
    assert narrow.posterior_["sigma"].mean() < wide.posterior_["sigma"].mean()


def test_the_curves_know_their_x() -> None:
    # `configured.section` gives a curve the time column by this name.
    assert all("x" in arguments for arguments in BUILTIN_CURVES.values())
