"""Scikit-learn estimators over the engine: one entity, arrays in, arrays out, no folder."""

from posterity.estimators.base import FlaggedWarning
from posterity.estimators.classifier import BayesianClassifier
from posterity.estimators.regressor import BayesianRegressor

__all__ = ["BayesianClassifier", "BayesianRegressor", "FlaggedWarning"]
