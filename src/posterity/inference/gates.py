"""Bounds on diagnostics. A posterior outside one is flagged, with a sentence for every gate that is open."""

import math
from collections.abc import Iterator

import numpy as np

from posterity.config.schema import Gates
from posterity.inference.posterior import Diagnostics, Posterior

UNCERTIFIED = ": the means of the approximation may be right, its spreads are not certified"
"""What a large k̂ leaves of a variational method's answer (Yao et al., ICML 2018; Dhaka et al., NeurIPS
2021).
"""


def open_gates(posterior: Posterior, gates: Gates) -> tuple[str, ...]:
    """A sentence for every bound that the posterior's diagnostics break; empty where all hold."""
    d = posterior.diagnostics
    size = posterior.draws.shape[0] * posterior.draws.shape[1]
    return tuple(_open(d, gates, khat_bound(size, gates.khat), "advi" in posterior.method))


def khat_bound(size: int, bound: float) -> float:
    """Largest k̂ at which a Pareto-smoothed sample of `size` can be trusted (Vehtari et al. 2024, §3.2.4)."""
    return min(1 - 1 / math.log10(max(size, 11)), bound)


def _open(d: Diagnostics, gates: Gates, khat: float, variational: bool) -> Iterator[str]:
    # Comparisons are written so that NaN, "not applicable", opens no gate, but a NaN among the ESS does.
    if d.khat > khat:
        yield f"k-hat {d.khat:.2f} is above {khat:.2f}{UNCERTIFIED if variational else ''}"
    if not np.isnan(d.rhat).all() and not (d.rhat <= gates.rhat).all():
        yield f"R-hat {np.max(d.rhat):.3f} is above {gates.rhat:g}"
    for label, values in (("bulk", d.ess_bulk), ("tail", d.ess_tail)):
        if not (values >= gates.ess).all():
            yield f"{label} ESS {np.min(values):.0f} is below {gates.ess:g}"
    if d.divergences > gates.divergences:
        yield f"{d.divergences} divergent transitions, more than {gates.divergences}"
    if d.bfmi < gates.bfmi:
        yield f"BFMI {d.bfmi:.2f} is below {gates.bfmi:g}"
