"""Portfolios of Bayesian models in production: fit every entity, hand down what is learned, keep the record.

Everything here works without Prefect and without MLflow. Names are imported when first used, so that the
command line answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posterity.estimators import BayesianClassifier as BayesianClassifier
    from posterity.estimators import BayesianRegressor as BayesianRegressor
    from posterity.portfolio.backtest import Backtest as Backtest
    from posterity.portfolio.backtest import backtest as backtest
    from posterity.portfolio.portfolio import Portfolio as Portfolio
    from posterity.portfolio.result import Result as Result
    from posterity.portfolio.result import open_result as open

__all__ = ["Backtest", "BayesianClassifier", "BayesianRegressor", "Portfolio", "Result", "backtest", "open"]

_PLACES = {
    "BayesianClassifier": ("posterity.estimators", "BayesianClassifier"),
    "BayesianRegressor": ("posterity.estimators", "BayesianRegressor"),
    "Backtest": ("posterity.portfolio.backtest", "Backtest"),
    "backtest": ("posterity.portfolio.backtest", "backtest"),
    "Portfolio": ("posterity.portfolio.portfolio", "Portfolio"),
    "Result": ("posterity.portfolio.result", "Result"),
    "open": ("posterity.portfolio.result", "open_result"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'posterity' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "import_module"})
