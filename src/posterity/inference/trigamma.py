"""The trigamma function for numba, which PyTensor 3.3 reaches only through Python, slowly and with a warning.

Hessians of the gamma function need it: those of NegativeBinomial, Beta, Gamma, StudentT and BetaBinomial.
Importing this module is enough.
"""

from typing import Any

import numba
from pytensor.link.numba.dispatch.scalar import register_scalar_funcify, scalar_op_cache_key
from pytensor.scalar.math import TriGamma

LARGE = 12.0
"""From here on the asymptotic series is exact to rounding."""


@numba.njit
def trigamma(x: float) -> float:
    """ψ'(x) for x > 0, NaN elsewhere: recurrence up to `LARGE`, then Abramowitz & Stegun 6.4.12."""
    if not x > 0:
        return float("nan")
    below = 0.0
    while x < LARGE:
        below += 1 / (x * x)
        x += 1
    z = 1 / (x * x)
    series = 1 / 6 + z * (
        -1 / 30 + z * (1 / 42 + z * (-1 / 30 + z * (5 / 66 + z * (-691 / 2730 + z * 7 / 6))))
    )
    return below + 1 / x + z / 2 + z / x * series


@register_scalar_funcify(TriGamma)  # type: ignore[untyped-decorator]
def _funcify(op: Any, node: Any, **_: Any) -> tuple[Any, str]:
    return trigamma, scalar_op_cache_key(op, posterity=1)
