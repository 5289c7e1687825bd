"""Bayesian classification as a scikit-learn estimator."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from posterity.config import Config
from posterity.config.distributions import Support
from posterity.errors import ConfigError
from posterity.estimators import logistic, softmax
from posterity.estimators.base import BayesianEstimator, Floats
from posterity.estimators.engine import Fitted
from posterity.estimators.linear import with_defaults


class BayesianClassifier(ClassifierMixin, BayesianEstimator):  # type: ignore[misc]
    """One posterior for a table of features and classes: Bayesian logistic regression, softmax regression for
    more than two classes, or any model of a configuration whose target is a class.

    The default model standardises the features and takes weakly informative priors there (intercept and
    coefficients Normal(0, 2.5): of the log odds for two classes, of the scores of every class for more); it
    reports everything in the units of the data. Scores of more than two classes are centred over the classes,
    as adding a constant to all of them changes no probability.

    Parameters are those of `BayesianRegressor`; the default model's `priors` are `intercept` and `coef`, of
    any distribution, on the scale of standardised features; normal ones need no compilation. `method` may
    also be advi or fullrank_advi. A model of your own explains 0, 1, ..., the places of a row's class in
    `classes_`. Where unsure rows should get no answer, ask for `predict_proba(X).max(axis=1)`.

    Attributes (C chains of S draws, p features, K classes):
        classes_ (K,): the labels, sorted.
        coef_, intercept_: posterior means in the units of the data, of the shape that scikit-learn's linear
            classifiers have; default model only. Two classes: (1, p) and (1,), the log odds of
            `classes_[1]`. More: (K, p) and (K,), the scores, centred over classes.
        posterior_: draws by parameter, (C, S) for scalars, (C, S, entries) for vectors. Default model:
            `intercept` and `coef` in the units of the data: (C, S) and (C, S, p), for more than two classes
            (C, S, K) and (C, S, K, p).
        diagnostics_, config_, n_features_in_, feature_names_in_: as in `BayesianRegressor`.
    """

    classes_: NDArray[Any]

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Fit to features X (n, p) and labels y (n,) of any type, at least two distinct ones.

        Raises ValueError for arrays that cannot be used and for one class, ConfigError for parameters or a
        model that say something impossible, ModelError where no posterior is found.
        """
        features, labels = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class only, {self.classes_[0]!r}; at least two classes are needed")
        return self._fit(features, codes.astype(np.float64))

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Posterior predictive probabilities of the classes, in the order of `classes_`, at X (n, p): shape
        (n, K).
        """
        features = self._rows(X)
        if not hasattr(self, "coef_"):
            return self._fitted.probabilities(self._columns(features), len(features), len(self.classes_))
        intercept, coef = (np.concatenate(self.posterior_[name]) for name in ("intercept", "coef"))
        if len(self.classes_) > 2:
            return softmax.probabilities(intercept, coef, features)
        zeros = np.zeros_like(intercept)
        return softmax.probabilities(
            np.stack([zeros, intercept], axis=1), np.stack([np.zeros_like(coef), coef], axis=1), features
        )

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The more probable class at X (n, p): shape (n,)."""
        best = np.argmax(self.predict_proba(X), axis=1)
        found: NDArray[Any] = self.classes_[best]
        return found

    def _fit_default(self, features: Floats, target: Floats) -> Fitted:
        priors, (p, k) = with_defaults(self.priors, logistic.PRIORS), (features.shape[1], len(self.classes_))
        scale = StandardScaler().fit(features)
        codes = target.astype(np.int64)
        fitted = logistic.fit(scale.transform(features), codes, k, priors, self._settings())
        intercept, coef = (np.concatenate(fitted.parameters[name]) for name in ("intercept", "coef"))
        if k > 2:
            coef = coef.reshape(-1, k, p)
            intercept = intercept - intercept.mean(axis=1, keepdims=True)
            coef = coef - coef.mean(axis=1, keepdims=True)
        self._linear(intercept, coef, None, scale)
        self.coef_ = np.atleast_2d(self.posterior_["coef"].mean(axis=(0, 1)))
        self.intercept_ = np.atleast_1d(self.posterior_["intercept"].mean(axis=(0, 1)))
        return fitted

    def _check_model(self, config: Config) -> None:
        family = config.model.family
        if not family.classifies or (family.support is Support.BINARY and len(self.classes_) > 2):
            raise ConfigError(
                [
                    (
                        f"the model's target is {family.support.name.lower()} ({family.name}), and y has "
                        f"{len(self.classes_)} classes; a classifier's likelihood is Bernoulli for two "
                        "classes or Categorical, or `build` with target binary or category"
                    )
                ]
            )
