"""When a stochastic optimiser is done: the learning rate falls whenever its bound has settled."""

from collections.abc import Sequence

import numpy as np

from posterity.inference.posterior import Floats

RATES = (0.05, 0.01, 0.002)
"""Learning rates of Adam, each until the bound has settled: a constant one leaves the optimum noisy (Dhaka et
al., NeurIPS 2020).
"""
WINDOW = 500
"""Steps whose bounds are averaged before they are compared."""
BLOCK = 50
"""Steps whose mean is one value when the noise of a window is told (batch means, as for Markov
chains): rows that come in rounds make single steps far noisier than rounds are."""
PATIENCE = 2
"""Comparisons in a row without progress that make a bound settled."""
SETTLED = 1e-5
"""No progress: the smoothed bound rose by less than this share, or by less than its own noise..."""
QUIET = 0.01
"""... unless the noise is more than this share, as far from the optimum, where it says nothing."""


STALLED = 5
"""Windows in a row, none better than the best before, after which the rate falls however noisy the bound is:
a large rate wanders around an optimum of many unknowns for ever.
"""


class Settling:
    """Watches the losses (minus the bound) of an optimiser: `rate` is the learning rate in force, `settled`
    whether the bound has come to rest at the last one, `change` the share of it by which it last rose.
    """

    def __init__(self, rates: Sequence[float] = RATES) -> None:
        self._left = list(rates)
        self._since, self._calm, self._stalled, self._best = 0, 0, 0, np.inf
        self.rate = self._left.pop(0)
        self.settled = False
        self.change = np.inf

    def look(self, losses: Floats, step: int) -> bool:
        """Whether to stop after `step` steps, whose losses are the first so many of `losses`."""
        if step % WINDOW or step - self._since < 2 * WINDOW:
            return False
        last, before = losses[step - WINDOW : step], losses[step - 2 * WINDOW : step - WINDOW]
        size = max(abs(float(last.mean())), 1.0)
        noise = 2 * float(np.hypot(_error(last), _error(before))) / size
        self.change = float(before.mean() - last.mean()) / size
        self._calm = self._calm + 1 if self.change < max(SETTLED, noise) and noise < QUIET else 0
        level = float(last.mean())
        better = level < self._best - SETTLED * size
        self._stalled = 0 if better else self._stalled + 1
        self._best = min(self._best, level)
        if self._calm < PATIENCE and self._stalled < STALLED:
            return False
        if not self._left:
            self.settled = True
            return True
        self.rate = self._left.pop(0)
        self._since, self._calm, self._stalled, self._best = step, 0, 0, np.inf
        return False

    def unsettled(self, method: str, steps: int) -> tuple[str, ...]:
        """Why the method's answer is flagged; nothing where the bound has settled."""
        if self.settled:
            return ()
        why = (
            f"{method} stopped after {steps:,} steps before its bound settled (the last change was "
            f"{self.change:.1g} of it); raise inference.steps"
        )
        return (why,)


def _error(losses: Floats) -> float:
    """Standard error of a window's mean."""
    blocks = losses.reshape(-1, BLOCK).mean(axis=1)
    return float(blocks.std(ddof=1) / np.sqrt(len(blocks)))
