"""Beta mixtures: priors of a probability, exact for binomial rows.

The published analyses of historical controls are made of these (R package RBesT), so they are what the
definitions of effective rows are checked against.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.special import betainc, betaincinv, betaln, expit, logsumexp

from posterity.errors import ModelError
from posterity.inference.effective_rows import FLATTENED
from posterity.inference.mixture import WEIGHTS_SUM
from posterity.inference.posterior import Floats

REACH = 700.0
"""Integrals run over log odds within ± this, where probabilities still are floating-point numbers."""
FINE = 5.0
"""Steps of the trapezoidal rule per sd of the narrowest component: exact to rounding for smooth densities."""


@dataclass(frozen=True, eq=False)
class BetaMixture:
    """Components Beta(a, b): `weights`, `a`, `b` have shape (K,). ModelError if they are no mixture."""

    weights: Floats
    a: Floats
    b: Floats

    def __post_init__(self) -> None:
        for name in ("weights", "a", "b"):
            array = np.atleast_1d(np.array(getattr(self, name), dtype=np.float64))
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        shapes = {array.shape for array in (self.weights, self.a, self.b)}
        if len(shapes) > 1 or self.weights.ndim != 1:
            raise ModelError(f"a Beta mixture has as many weights as a and b; found {sorted(shapes)}")
        if not ((self.a > 0).all() and (self.b > 0).all()):
            raise ModelError(f"a and b of a Beta mixture are above 0; found a {self.a}, b {self.b}")
        if not ((self.weights >= 0).all() and abs(self.weights.sum() - 1) <= WEIGHTS_SUM):
            raise ModelError(f"weights are at least 0 and add up to 1; found {self.weights.tolist()}")

    @property
    def mean(self) -> float:
        """Mean of the mixture."""
        return float(self.weights @ (self.a / (self.a + self.b)))

    @property
    def sd(self) -> float:
        """Standard deviation of the mixture."""
        total = self.a + self.b
        square = self.a * (self.a + 1) / (total * (total + 1))
        return float(np.sqrt(self.weights @ square - self.mean**2))

    def log_density(self, x: ArrayLike) -> Floats:
        """Log density at probabilities of any shape."""
        points = np.asarray(x, dtype=np.float64)
        return np.asarray(logsumexp(self._terms(np.log(points), np.log1p(-points)), axis=-1))

    def cdf(self, x: ArrayLike) -> Floats:
        """Probability of at most x."""
        below: Floats = betainc(self.a, self.b, np.asarray(x, dtype=np.float64)[..., None]) @ self.weights
        return below

    def quantile(self, shares: ArrayLike) -> Floats:
        """Quantiles at shares of any shape."""

        def one(share: float) -> float:
            # A mixture's quantile is between those of its components.
            low, high = np.sort(betaincinv(self.a, self.b, share))[[0, -1]]
            return (
                float(brentq(lambda x: float(self.cdf(x)) - share, low, high)) if low < high else float(low)
            )

        found: Floats = np.vectorize(one, otypes=[np.float64])(shares)
        return found

    def mode(self) -> float:
        """The highest mode."""
        odds = self._odds()
        x = expit(odds)
        inside = x[(x > 1e-9) & (x < 1 - 1e-9)]
        top = int(self.log_density(inside).argmax())
        low, high = inside[max(top - 1, 0)], inside[min(top + 1, len(inside) - 1)]
        found = minimize_scalar(
            lambda at: -float(self.log_density(at)),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-12},
        )
        return float(found.x)

    def updated(self, r: int, n: int) -> Self:
        """The posterior after r successes among n rows: exact."""
        if not 0 <= r <= n:
            raise ModelError(f"successes are between 0 and the number of rows; found {r} of {n}")
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        log_weights += betaln(self.a + r, self.b + n - r) - betaln(self.a, self.b)
        return type(self)(np.exp(log_weights - logsumexp(log_weights)), self.a + r, self.b + n - r)

    def robustified(self, weight: float, mean: float = 0.5, rows: float = 1) -> Self:
        """With a vague component of this weight, last, and a + b = `rows` + 1, as in RBesT (1/2: uniform)."""
        total = rows + 1
        return type(self)(
            np.append((1 - weight) * self.weights, weight),
            np.append(self.a, total * mean),
            np.append(self.b, total * (1 - mean)),
        )

    def elir_rows(self) -> float:
        """Expected local information ratio, ∫ p · (-log p)'' · x(1 - x); NaN where an a or b below 1 makes it
        diverge.
        """
        if (self.a < 1).any() or (self.b < 1).any():
            return np.nan
        x, y, mass = self._nodes()
        return float(np.sum(mass * self._curvature(x, y) / (x * y)))

    def moment_rows(self) -> float:
        """a + b of the Beta density with the same mean and sd."""
        return self.mean * (1 - self.mean) / self.sd**2 - 1

    def morita_rows(self) -> float:
        """Curvature at the mode less that of Beta(mode / 100, (1 - mode) / 100), over the information there
        that one predicted row is expected to have.
        """
        at = self.mode()
        prior = float(self._curvature(np.array([at]), np.array([1 - at]))[0]) / (at * (1 - at)) ** 2
        flattened = (at / FLATTENED - 1) / at**2 + ((1 - at) / FLATTENED - 1) / (1 - at) ** 2
        expected = self.mean / at**2 + (1 - self.mean) / (1 - at) ** 2
        return (prior - flattened) / expected

    def above(self, other: "BetaMixture") -> float:
        """P(self > other), the two independent: by quadrature, without Monte Carlo error."""
        x, y, mass = self._nodes(other)
        kept = mass > 1e-18 * mass.max()
        x, y, mass = x[kept], y[kept], mass[kept]
        below = np.where(
            x < 0.5,
            betainc(other.a, other.b, x[:, None]) @ other.weights,
            other.weights.sum() - betainc(other.b, other.a, y[:, None]) @ other.weights,
        )
        return float(mass @ below)

    def _terms(self, log_x: Floats, log_y: Floats) -> Floats:
        """Log of weight × density (..., K) where log x and log(1 - x) are given."""
        with np.errstate(divide="ignore"):
            heights = np.log(self.weights) - betaln(self.a, self.b)
        terms: Floats = heights + (self.a - 1) * log_x[..., None] + (self.b - 1) * log_y[..., None]
        return terms

    def _curvature(self, x: Floats, y: Floats) -> Floats:
        """Minus the second derivative of the log density, times (x y)², where y = 1 - x.

        That factor keeps it finite at both ends.
        """
        terms = self._terms(np.log(x), np.log(y))
        share = np.exp(terms - logsumexp(terms, axis=-1, keepdims=True))
        scores = (self.a - 1) * y[:, None] - (self.b - 1) * x[:, None]
        scores -= (share * scores).sum(axis=1, keepdims=True)
        within = (self.a - 1) * y[:, None] ** 2 + (self.b - 1) * x[:, None] ** 2
        curvature: Floats = (share * (within - scores**2)).sum(axis=1)
        return curvature

    def _odds(self, *others: "BetaMixture") -> Floats:
        """Evenly spaced log odds (N,), fine enough for this mixture and the others."""
        sd = min(float(np.sqrt(1 / one.a + 1 / one.b).min()) for one in (self, *others))
        return np.linspace(-REACH, REACH, int(2 * REACH * FINE / min(sd, 1)) + 1)

    def _nodes(self, *others: "BetaMixture") -> tuple[Floats, Floats, Floats]:
        """x, 1 - x and their probability mass (N,): the trapezoidal rule in log odds, where all is smooth."""
        odds = self._odds(*others)
        x, y = expit(odds), expit(-odds)
        log_x, log_y = -np.logaddexp(0, -odds), -np.logaddexp(0, odds)
        mass = np.exp(logsumexp(self._terms(log_x, log_y), axis=-1) + log_x + log_y) * (odds[1] - odds[0])
        return x, y, mass
