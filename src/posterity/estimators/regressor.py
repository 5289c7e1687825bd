"""Bayesian regression as a scikit-learn estimator."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from scipy.special import ndtri
from sklearn.base import RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import validate_data

from posterity.estimators import linear
from posterity.estimators.base import BayesianEstimator, Floats
from posterity.estimators.engine import Fitted, fit_rows
from posterity.inference.compiled import CELLS
from posterity.portfolio.entity import summarise

Predicted = Floats | tuple[Floats, ...]


class BayesianRegressor(RegressorMixin, BayesianEstimator):  # type: ignore[misc]
    """One posterior for a table of features: Bayesian linear regression, or any model of a configuration.

    The default model standardises features and target, takes weakly informative priors there (intercept and
    coefficients Normal(0, 2.5), noise Exponential(1)), and reports everything in the units of the data.

    Parameters:
        model: None, or a configuration (a path, a dictionary, a `Config`) of which the model section counts,
            or that section itself. Its columns are X's by name, or x0, x1, ... where X has no names. X and y
            are not standardised then.
        priors: parameter -> prior, in place of the model's own. The default model has `intercept` and `coef`
            (Normal, with numbers or a number for each feature) and `sigma` (any positive distribution), on
            the scale of standardised data.
        method: auto, laplace or nuts.
        draws: draws of a chain.
        chains: chains.
        gates: bounds on diagnostics as in a configuration, for instance {"ess": 200}; outside of one, `fit`
            warns with `FlaggedWarning`.
        random_state: the root seed. With an integer, equal data give equal draws. Default 2023.

    Attributes (C chains of S draws, p features):
        coef_ (p,), intercept_: posterior means, in the units of the data; default model only.
        posterior_: draws by parameter, (C, S) for scalars, (C, S, entries) for vectors. Default model:
            `intercept`, `coef` and `sigma` in the units of the data.
        diagnostics_: status (ok, flagged), reason, method, rhat, ess_bulk, ess_tail, khat, divergences, bfmi.
            Of the default model those of `sigma`: given it the coefficients are drawn exactly.
        config_: the configuration that was fitted.
        n_features_in_, feature_names_in_: as in every estimator.
    """

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Fit to features X (n, p) and target y (n,).

        Raises ValueError for arrays that cannot be used, ConfigError for parameters or a model that say
        something impossible, PanelError for targets that the likelihood cannot give, ModelError where no
        posterior is found.
        """
        features, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        return self._fit(features, np.asarray(target, dtype=np.float64))

    def predict(
        self,
        X: Any,  # noqa: N803
        *,
        interval: float | Sequence[float] | None = None,
        return_std: bool = False,
    ) -> Predicted:
        """Mean of the posterior predictive distribution at X (n, p): shape (n,).

        With `return_std` (as scikit-learn's BayesianRidge) or `interval` (as MAPIE's regressors) a tuple: the
        mean (n,), then the sd (n,) of a new observation if asked for, then the equal-tailed bounds of a new
        observation, lower before upper: (n, 2) for one mass such as 0.9, (n, 2, K) for K masses.

        A model without a known mean has that of its draws, which is exact to Monte Carlo error only.
        Raises ValueError for a mass outside 0..1 and for arrays that do not fit; PanelError for a level of a
        dimension that was not there to be learned.
        """
        features = self._rows(X)
        masses = _masses(interval)
        if not masses and not return_std and hasattr(self, "coef_"):
            mean: Floats = features @ self.coef_ + self.intercept_
            return mean
        parts = []
        for expected, drawn in self._drawn(features):
            parts.append((expected.mean(axis=0), drawn.std(axis=0), _bounds(drawn, masses)))
        means, sds, limits = (np.concatenate(part) for part in zip(*parts, strict=True))
        if interval is None:
            return (means, sds) if return_std else means
        limits = limits if np.ndim(interval) else limits[:, :, 0]
        return (means, sds, limits) if return_std else (means, limits)

    def _drawn(self, features: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Draws of the expected curve and of new observations (C·S, rows), some rows at a time."""
        n = len(features)
        if not hasattr(self, "coef_"):
            for observed, expected in self._fitted.predict(self._columns(features), n):
                yield (observed if expected is None else expected), observed
            return
        sigma = self.posterior_["sigma"].reshape(-1, 1)
        # The same noise for every row, so that a row's bounds do not depend on the rows beside it; the normal
        # distribution's quantiles in random order are closer to it than random draws.
        quantiles = ndtri((np.arange(len(sigma)) + 0.5) / len(sigma))
        rng = np.random.default_rng([self.config_.inference.seed, len(sigma)])
        noise = sigma * rng.permutation(quantiles)[:, None]
        size = max(1, CELLS // len(sigma))
        for begin in range(0, n, size):
            expected = self._predictor(features[begin : begin + size])
            yield expected, expected + noise

    def _fit_default(self, features: Floats, target: Floats) -> Fitted:
        settings, priors = self._settings(), linear.with_defaults(self.priors, linear.PRIORS)
        scale, level = StandardScaler().fit(features), StandardScaler().fit(target[:, None])
        unit = level.scale_[0]
        design = linear.Design.of(scale.transform(features), (target - level.mean_[0]) / unit, priors)
        config = settings.configuration(linear.model_section(priors["sigma"]))
        fitted = fit_rows(config, design.columns, design.target)
        sigma = fitted.parameters["sigma"].reshape(-1)
        drawn = unit * design.coefficients(sigma, fitted.stream(1))
        self._linear(drawn[:, 0] + level.mean_[0], drawn[:, 1:], unit * sigma, scale)
        self.coef_ = self.posterior_["coef"].mean(axis=(0, 1))
        self.intercept_ = float(self.posterior_["intercept"].mean())
        return fitted


def _bounds(drawn: Floats, masses: tuple[float, ...]) -> Floats:
    """Equal-tailed bounds (n, 2, K) of draws (S, n) at K masses, perhaps none."""
    if not masses:
        return np.empty((drawn.shape[1], 2, 0))
    found = summarise(drawn, masses)
    return np.stack([found.lower.T, found.upper.T], axis=1)


def _masses(interval: float | Sequence[float] | None) -> tuple[float, ...]:
    """The masses asked for, none for None. Raises ValueError for one that is no mass."""
    if interval is None:
        return ()
    masses: tuple[float, ...] = tuple(np.atleast_1d(np.asarray(interval, dtype=np.float64)).tolist())
    if not masses or not all(0 < mass < 1 for mass in masses):
        raise ValueError(f"interval {interval!r} is no mass between 0 and 1, for instance 0.9")
    return masses
