"""Draws from a joint posterior, and what one entity's part of them says."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from posterity.inference.elbo import Curve
from posterity.inference.nuts import diagnose
from posterity.inference.posterior import Diagnostics, Floats


@dataclass(frozen=True)
class JointDraws:
    """C chains of S draws of a joint model's variables, each (C, S, ...), by name.

    `reasons` are sentences that flag every entity: an optimiser that did not settle. `energy` (C, S) is there
    for Markov chains, `khat` for importance samples and what was compared with the density, `elbo` is the
    bound that a variational method climbed; draws of methods other than nuts are independent.
    """

    method: str
    draws: Mapping[str, Floats]
    seconds: float
    divergences: int = 0
    energy: Floats | None = None
    khat: float = np.nan
    reasons: tuple[str, ...] = ()
    elbo: Curve | None = None

    def diagnostics(self, parameters: Floats) -> Diagnostics:
        """Diagnostics of some parameters (C, S, P): of the chains, or those of independent draws."""
        if self.energy is not None:
            return diagnose(parameters, self.divergences, self.energy)
        size = parameters.shape[-1]
        independent = np.full(size, float(parameters.shape[0] * parameters.shape[1]))
        return Diagnostics(independent, independent, np.full(size, np.nan), self.khat)
