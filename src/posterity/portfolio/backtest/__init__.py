"""Rolling-origin backtests over real time: configurations and baselines side by side."""

from posterity.portfolio.backtest.design import Design, design
from posterity.portfolio.backtest.rolling import backtest, run
from posterity.portfolio.backtest.value import Backtest

__all__ = ["Backtest", "Design", "backtest", "design", "run"]
