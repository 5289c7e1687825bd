"""What a fit returns: a posterior with its diagnostics, or a failure with its reason. Both are values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from posterity.inference.elbo import Curve

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """How far a posterior can be trusted. P is the number of scalar parameters.

    `ess_bulk`, `ess_tail` and `rhat` have shape (P,). R-hat compares chains, so independent draws (Laplace)
    have none (NaN); k̂ certifies an importance sample, so NUTS has none (NaN).
    """

    ess_bulk: Floats
    ess_tail: Floats
    rhat: Floats
    khat: float = np.nan
    divergences: int = 0
    bfmi: float = np.nan


@dataclass(frozen=True, slots=True)
class Posterior:
    """Draws of one entity. C chains of S draws; D entries of θ (unconstrained), P scalar parameters.

    `unconstrained` is (C, S, D), `draws` (C, S, P); `tried` says which methods came before and why each gave
    way, `reasons` are sentences that flag it whatever its diagnostics say, `elbo` is the bound that a
    variational method climbed.
    """

    method: str
    unconstrained: Floats
    draws: Floats
    diagnostics: Diagnostics
    tried: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    elbo: "Curve | None" = None

    @property
    def mean(self) -> Floats:
        """Mean of θ, shape (D,)."""
        return self.unconstrained.mean(axis=(0, 1))

    @property
    def covariance(self) -> Floats:
        """Covariance of θ, shape (D, D)."""
        flat = self.unconstrained.reshape(-1, self.unconstrained.shape[-1])
        return np.atleast_2d(np.cov(flat, rowvar=False))


@dataclass(frozen=True, slots=True)
class Failure:
    """No posterior: a sentence that says what happened and what to try."""

    reason: str
    method: str | None = None
    tried: tuple[str, ...] = ()
    unexpected: bool = False
    """Whether an exception that nobody planned for is the reason: a fault of code rather than of data."""
