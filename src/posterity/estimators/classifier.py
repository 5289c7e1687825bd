"""Bayesian classification as a scikit-learn estimator."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import validate_data

from posterity.config import Config
from posterity.errors import ConfigError
from posterity.estimators import logistic
from posterity.estimators.base import BayesianEstimator, Floats
from posterity.estimators.engine import Fitted, fit_rows
from posterity.estimators.linear import with_defaults
from posterity.inference.compiled import CELLS


class BayesianClassifier(ClassifierMixin, BayesianEstimator):  # type: ignore[misc]
    """One posterior for a table of features and two classes: Bayesian logistic regression, or any model of
    a configuration whose likelihood is Bernoulli.

    The default model standardises the features and takes weakly informative priors there (intercept and
    coefficients Normal(0, 2.5)); it reports everything in the units of the data.

    Parameters are those of `BayesianRegressor`; the default model's `priors` are `intercept` and `coef`, of
    any distribution, on the scale of standardised features. A model of your own explains 0 and 1, the places
    of a row's class in `classes_`.

    Attributes (C chains of S draws, p features):
        classes_ (2,): the labels, sorted.
        coef_ (1, p), intercept_ (1,): posterior means of the log odds of `classes_[1]`, in the units of the
            data and of the shape that scikit-learn's linear classifiers have; default model only.
        posterior_: draws by parameter, (C, S) for scalars, (C, S, entries) for vectors. Default model:
            `intercept` and `coef` in the units of the data.
        diagnostics_, config_, n_features_in_, feature_names_in_: as in `BayesianRegressor`.
    """

    classes_: NDArray[Any]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Fit to features X (n, p) and labels y (n,) of any type, two distinct ones.

        Raises ValueError for arrays that cannot be used and for one or more than two classes, ConfigError for
        parameters or a model that say something impossible, ModelError where no posterior is found.
        """
        features, labels = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(labels)}."
            )
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class only, {self.classes_[0]!r}; two classes are needed")
        return self._fit(features, codes.astype(np.float64))

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Posterior predictive probabilities of the classes, in the order of `classes_`, at X (n, p): shape
        (n, 2).
        """
        features = self._rows(X)
        found: Floats = np.concatenate(list(self._probabilities(features)))
        return np.column_stack([1 - found, found])

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The more probable class at X (n, p): shape (n,)."""
        best = np.argmax(self.predict_proba(X), axis=1)
        found: NDArray[Any] = self.classes_[best]
        return found

    def _probabilities(self, features: Floats) -> Any:
        """Probability of the second class (rows,), some rows at a time."""
        n = len(features)
        if not hasattr(self, "coef_"):
            for observed, expected in self._fitted.predict(self._columns(features), n):
                yield (observed if expected is None else expected).mean(axis=0)
            return
        size = max(1, CELLS // self.posterior_["intercept"].size)
        for begin in range(0, n, size):
            yield expit(self._predictor(features[begin : begin + size])).mean(axis=0)

    def _fit_default(self, features: Floats, target: Floats) -> Fitted:
        # Several classes: a softmax model would be chosen here, by len(self.classes_).
        priors, p = with_defaults(self.priors, logistic.PRIORS), features.shape[1]
        scale = StandardScaler().fit(features)
        config = self._settings().configuration(logistic.model_section(p, priors))
        fitted = fit_rows(config, logistic.columns(scale.transform(features)), target)
        intercept, coef = (np.concatenate(fitted.parameters[name]) for name in ("intercept", "coef"))
        self._linear(intercept, coef[:, :p], None, scale)
        self.coef_ = self.posterior_["coef"].mean(axis=(0, 1))[None]
        self.intercept_ = self.posterior_["intercept"].mean(keepdims=True).reshape(1)
        return fitted

    def _check_model(self, config: Config) -> None:
        dist = getattr(config.model.likelihood, "dist", None)
        if dist != "Bernoulli":
            raise ConfigError(
                [f"the model's likelihood is {dist}; a classifier's is Bernoulli, with p or logit_p"]
            )
