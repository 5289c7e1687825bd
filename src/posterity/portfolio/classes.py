"""Which class a row is of, how sure that is, and when to say nothing.

A classifier with a reject option answers only where the posterior predictive probability of its most probable
class reaches a threshold: for a given share of answers no rule errs less often, if the probabilities are
right (Chow, IEEE Transactions on Information Theory 16:41, 1970). Accuracy among the answered against the
share answered, as the threshold moves, is the risk-coverage curve (El-Yaniv & Wiener, JMLR 11:1605, 2010).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config.abstain import Abstain

type Floats = NDArray[np.float64]

SCORES = ("accuracy", "answered", "accuracy_answered")
"""What an entity's answers are worth: share of rows that are right, share that are answered, and share of
those that are right.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The most probable class of every row (n,) and its posterior predictive probability (n,)."""

    predicted: NDArray[np.int64]
    probability: Floats

    @classmethod
    def of(cls, probabilities: Floats) -> "Answers":
        """From the probabilities of all classes (n, K); of equal ones the first class is taken."""
        best = probabilities.argmax(axis=1)
        return cls(best, probabilities[np.arange(len(best)), best])

    def after(self, rows: int) -> "Answers":
        """Without the first rows."""
        return Answers(self.predicted[rows:], self.probability[rows:])

    def columns(self, abstain: Abstain | None) -> dict[str, NDArray[Any]]:
        """As columns of a table: `predicted`, `probability` and, where that is configured, `abstained`."""
        found: dict[str, NDArray[Any]] = {"predicted": self.predicted, "probability": self.probability}
        return found if abstain is None else found | {"abstained": self.probability < abstain.below}

    def scores(self, observed: Floats, abstain: Abstain | None) -> dict[str, float | None]:
        """`SCORES` on observed rows (n,), missing ones left out; None where there is nothing to tell."""
        known = np.isfinite(observed)
        right = (self.predicted == observed)[known]
        if abstain is None or not known.any():
            return {"accuracy": float(right.mean()) if known.any() else None}
        sure = (self.probability >= abstain.below)[known]
        return {
            "accuracy": float(right.mean()),
            "answered": float(sure.mean()),
            "accuracy_answered": float(right[sure].mean()) if sure.any() else None,
        }


@dataclass(frozen=True, slots=True, eq=False)
class TradeOff:
    """Accuracy among the answered (k,) at each share answered (k,), rising, and the threshold (k,) that gives
    it.
    """

    answered: Floats
    accuracy: Floats
    threshold: Floats


def trade_off(right: NDArray[np.bool_], probability: Floats) -> TradeOff:
    """The curve over rows (n,): the surest are answered first, those that are equally sure together."""
    order = np.argsort(-probability, kind="stable")
    sure = probability[order]
    last = np.append(np.flatnonzero(np.diff(sure)), len(sure) - 1)
    counts = last + 1.0
    return TradeOff(counts / len(sure), np.cumsum(right[order])[last] / counts, sure[last])
