"""How far a posterior that was carried along has come from the exact one."""

from dataclasses import dataclass

import numpy as np

from posterity.inference.posterior import Floats


@dataclass(frozen=True, slots=True)
class Drift:
    """The largest shift of a mean, in exact posterior sds, and the worst ratio of an sd to the exact one, at
    least 1; `wider` says which way.
    """

    shift: float
    ratio: float
    wider: bool

    def __str__(self) -> str:
        how = "wider" if self.wider else "narrower"
        return f"a mean {self.shift:.2g} sds away and an sd {self.ratio:.3g} times {how} than exact"


def drift(carried: tuple[Floats, Floats], exact: tuple[Floats, Floats]) -> Drift:
    """Compare moments on the unconstrained scale: means (D,) and covariances (D, D)."""
    sd, right = (np.sqrt(np.diag(covariance)) for _, covariance in (carried, exact))
    shift = np.abs(carried[0] - exact[0]) / right
    log_ratio = np.log(sd / right)
    worst = log_ratio[np.abs(log_ratio).argmax()]
    return Drift(float(shift.max()), float(np.exp(np.abs(worst))), bool(worst > 0))
