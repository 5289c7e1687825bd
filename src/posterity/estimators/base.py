"""What the estimators share: parameters, the fit of a model of one's own, what is told of a posterior."""

import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from posterity.config import Config
from posterity.estimators.configured import Model, Settings, section
from posterity.estimators.engine import Fitted, fit_rows

type Floats = NDArray[np.float64]


class FlaggedWarning(ConvergenceWarning):  # type: ignore[misc]
    """A posterior was found, and a diagnostic says not to trust it as it is; the message says which."""


class BayesianEstimator(BaseEstimator):  # type: ignore[misc]
    """Parameters and fitted attributes of both estimators; see those for what they mean."""

    config_: Config
    coef_: Floats
    intercept_: Floats | float
    diagnostics_: dict[str, Any]
    posterior_: dict[str, Floats]
    n_features_in_: int

    def __init__(
        self,
        model: Model | None = None,
        *,
        priors: Mapping[str, Any] | None = None,
        method: str = "auto",
        draws: int = 1000,
        chains: int = 4,
        gates: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 2023,
    ) -> None:
        self.model = model
        self.priors = priors
        self.method = method
        self.draws = draws
        self.chains = chains
        self.gates = gates
        self.random_state = random_state

    def _settings(self) -> Settings:
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        return Settings(self.method, self.draws, self.chains, int(seed), self.gates or {})

    def _fit_default(self, features: Floats, target: Floats) -> Fitted:
        """Fit the default model and keep its posterior."""
        raise NotImplementedError

    def _fit(self, features: Floats, target: Floats) -> Self:
        """Fit to checked features (n, p) and target (n,)."""
        for name in ("coef_", "intercept_", "_fitted"):  # of an earlier fit with another model
            if name in vars(self):
                delattr(self, name)
        if self.model is None:
            return self._told(self._fit_default(features, target))
        config = self._settings().configuration(section(self.model, self.priors))
        self._check_model(config)
        self._fitted = fit_rows(config, self._columns(features), target)
        self.posterior_ = self._fitted.parameters
        return self._told(self._fitted)

    def _check_model(self, config: Config) -> None:
        """Raise ConfigError where a model of one's own is not one for this estimator."""

    def _told(self, fitted: Fitted) -> Self:
        """Keep the configuration and the diagnostics of a fit, and warn where it is flagged."""
        self.config_ = fitted.config
        self.diagnostics_ = fitted.diagnostics
        if fitted.reasons:
            warnings.warn(
                f"{type(self).__name__}: the posterior is flagged: {'; '.join(fitted.reasons)}. Its numbers "
                "are there and may be off: more draws, method='nuts', or narrower priors may help",
                FlaggedWarning,
                stacklevel=4,
            )
        return self

    def _linear(self, intercept: Floats, coef: Floats, sigma: Floats | None, scale: StandardScaler) -> None:
        """Keep draws of a linear predictor (C·S,) and (C·S, p), or K of them (C·S, K) and (C·S, K, p), made
        on standardised features, in the units of the data.
        """
        shape = (int(self.chains), -1)
        coef = coef / scale.scale_
        intercept = intercept - coef @ scale.mean_
        drawn = {"intercept": intercept, "coef": coef} | ({} if sigma is None else {"sigma": sigma})
        self.posterior_ = {name: d.reshape(*shape, *d.shape[1:]) for name, d in drawn.items()}

    def _predictor(self, features: Floats) -> Floats:
        """Draws of the linear predictor (S, n)."""
        coef = self.posterior_["coef"]
        drawn: Floats = self.posterior_["intercept"].reshape(-1, 1) + np.concatenate(coef) @ features.T
        return drawn

    def _columns(self, features: Floats) -> dict[str, Floats]:
        """Features by name: those of the DataFrame, or x0, x1, ..."""
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(features.shape[1])])
        return {str(name): np.ascontiguousarray(features[:, i]) for i, name in enumerate(names)}

    def _rows(self, X: Any) -> Floats:  # noqa: N803  (scikit-learn's name)
        """Checked features of rows to predict."""
        check_is_fitted(self)
        rows: Floats = validate_data(self, X, reset=False, dtype=np.float64)
        return rows
