"""The posterior density of Bayesian logistic and softmax regression in closed form: nothing is compiled.

Scores of n rows over K classes are X Z B, with q columns of X (ones, then the features), unknowns Z (q, R)
and a known basis B (R, K). Two classes have R = 1 and B = (0, 1): Z holds log odds. More have R = K − 1 and
orthonormal rows B that are zero in the mean: equal normal priors of every class's coefficients are the same
prior of Z and of the mean over classes, about which rows say nothing (as in PyMC's ZeroSumNormal), so Z B
are the coefficients centred over classes, exactly. The density is log-concave: it has one mode.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from posterity.inference.compiled import CELLS

type Floats = NDArray[np.float64]


def basis(classes: int) -> Floats:
    """B (R, K) for K classes."""
    if classes == 2:
        return np.array([[0.0, 1.0]])
    # Helmert's contrasts: a class against the mean of those before it.
    rows = np.tril(-np.ones((classes - 1, classes)), 0)
    places = np.arange(1, classes)
    rows[places - 1, places] = places
    found: Floats = rows / np.sqrt(places * (places + 1.0))[:, None]
    return found


@dataclass(frozen=True, eq=False)
class Softmax:
    """A target of D = q·R unknowns, Z row by row; it parametrises nothing, so `inputs` is always None.

    `design` (n, q) are ones and standardised features, `codes` (n,) the classes of the rows, `mean` and `sd`
    (q,) those of the normal priors. Means common to all classes cancel where there are more than two.
    """

    design: Floats
    codes: NDArray[np.int64]
    classes: int
    mean: Floats
    sd: Floats

    @cached_property
    def basis(self) -> Floats:
        """B (R, K)."""
        return basis(self.classes)

    @property
    def shape(self) -> tuple[int, int]:
        """(q, R)."""
        return self.design.shape[1], len(self.basis)

    @property
    def dimension(self) -> int:
        """D."""
        return self.shape[0] * self.shape[1]

    @cached_property
    def centre(self) -> Floats:
        """The prior's mean of θ (D,)."""
        q, size = self.shape
        return self.mean if self.classes == 2 else np.zeros(q * size)

    @cached_property
    def precision(self) -> Floats:
        """The prior's of θ (D,)."""
        return np.repeat(1 / self.sd**2, self.shape[1])

    @cached_property
    def _observed(self) -> Floats:
        """1 for the class of a row, else 0: (n, K)."""
        return np.eye(self.classes)[self.codes]

    def slope(self, theta: Floats, _: Any = None) -> tuple[float, Floats]:
        """Log density at θ (D,), without the prior's constant, and its gradient (D,)."""
        value, gradient, _ = self._expanded(theta)
        return value, gradient

    def evaluate(self, theta: Floats, _: Any = None) -> tuple[float, Floats, Floats]:
        """Minus the log density at θ (D,), its gradient (D,) and its Hessian (D, D)."""
        value, gradient, p = self._expanded(theta)
        (q, size), b = self.shape, self.basis
        hessian = np.empty((q, size, q, size))
        drift = p @ b.T
        for r in range(size):
            for s in range(r + 1):
                weight = (p * b[r]) @ b[s] - drift[:, r] * drift[:, s]
                hessian[:, r, :, s] = hessian[:, s, :, r] = self.design.T @ (weight[:, None] * self.design)
        found = hessian.reshape(self.dimension, self.dimension)
        return -value, -gradient, found + np.diag(self.precision)

    def _expanded(self, theta: Floats) -> tuple[float, Floats, Floats]:
        """Log density, its gradient and the probabilities (n, K)."""
        scores = self.design @ (theta.reshape(self.shape) @ self.basis)
        # NUTS asks for this many thousand times: of small tables scipy's log_softmax takes twice as long.
        scores -= scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        total = p.sum(axis=1, keepdims=True)
        p /= total
        left = self._observed - p
        away = theta - self.centre
        own = (scores * self._observed).sum() - np.log(total).sum()
        value = own - 0.5 * (self.precision * away**2).sum()
        gradient = (self.design.T @ (left @ self.basis.T)).reshape(-1) - self.precision * away
        return float(value), gradient, p

    def densities(self, thetas: Floats, _: Any = None) -> Floats:
        """Log density (S,) at each row of θ (S, D)."""
        size = max(1, CELLS // (len(self.design) * self.classes))
        parts = [self._densities(thetas[i : i + size]) for i in range(0, len(thetas), size)]
        away = thetas - self.centre
        return np.concatenate(parts) - 0.5 * (away**2) @ self.precision

    def _densities(self, thetas: Floats) -> Floats:
        z = thetas.reshape(-1, *self.shape)
        scores = np.moveaxis(np.tensordot(z, self.design, (1, 1)), 1, 2) @ self.basis
        own = scores[:, np.arange(len(self.design)), self.codes]
        found: Floats = (own - logsumexp(scores, axis=2)).sum(axis=1)
        return found

    def parameters(self, thetas: Floats, _: Any = None) -> Floats:
        """Of each row of θ (S, D): the intercepts, then the coefficients of one class after the other, on
        the scale of standardised features: (S, q) for two classes, (S, K·q) for K.
        """
        z = thetas.reshape(-1, *self.shape)
        if self.classes == 2:
            return z[:, :, 0]
        centred = np.swapaxes(z @ self.basis, 1, 2)
        return np.hstack([centred[:, :, 0], centred[:, :, 1:].reshape(len(z), -1)])


def probabilities(intercept: Floats, coef: Floats, features: Floats) -> Floats:
    """Mean over draws of the probabilities of K classes (n, K): of intercepts (S, K) and coefficients
    (S, K, p) at features (n, p), some rows at a time.
    """
    size = max(1, CELLS // intercept.size)
    found = []
    for begin in range(0, len(features), size):
        scores = coef @ features[begin : begin + size].T + intercept[..., None]
        found.append(softmax(scores, axis=1).mean(axis=0).T)
    return np.concatenate(found)
