"""Smooth unknown functions as a sum of sines whose sizes are a Gaussian process's (HSGP).

f(x) = Σ_j r_j w_j φ_j(x) with r_j = amplitude sqrt(S(ω_j)), φ_j(x) = sin(ω_j (x - centre + L)) / sqrt(L),
ω_j = jπ / 2L, L = c times half the range, w_j ~ N(0, 1), and S the spectral density of the kernel with
length scale ℓ (Solin and Särkkä 2020; Riutort-Mayol et al. 2023, section 3). It is PyMC's `gp.HSGP`, to
which a test holds it, but for one thing: S is taken as its logarithm, as the root of a density that has
become 0 has no gradient.

The unknowns are u_j = w_j h_j with h_j = sqrt(1 + k r_j²). Where rows tell a coefficient well, u_j is nearly
the coefficient, and does not bend with amplitude and length scale as w_j does; where they do not, u_j is
nearly w_j, and does not narrow with them as the coefficient does (partial centring: Papaspiliopoulos, Roberts
and Sköld, Statistical Science 22:59, 2007). k is what `ROWS` rows tell, evenly over L, with noise of `size`:
a constant, so that u means the same in every fit. docs/models/smooth.md has what it is worth.
"""

import math
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray

from posterity.config.smooths import Smooth

ROWS = 100

_MATERN = {"matern32": 1.5, "matern52": 2.5}
"""Kernel -> ν."""


def input_name(quantity: str) -> str:
    """The model's input that holds the basis (n, m) of a quantity's smooth."""
    return f"smooth:{quantity}"


def basis(smooth: Smooth, column: NDArray[np.float64]) -> NDArray[np.float64]:
    """φ (n, m): the basis functions at the rows of a column (n,)."""
    edge = smooth.c * smooth.half
    angles = (np.asarray(column, np.float64) - smooth.centre + edge)[:, None] * frequencies(smooth)
    functions: NDArray[np.float64] = np.sin(angles) / math.sqrt(edge)
    return functions


def value(smooth: Smooth, functions: Any, amplitude: Any, lengthscale: Any, weights: Any) -> Any:
    """The function at every row (n,), from the basis (n, m) there.

    Amplitude and length scale are numbers or (n,), weights (m,) or (n, m): the same for all rows, or those of
    each row's entity.
    """
    sizes = _sizes(smooth, amplitude, lengthscale)
    coefficients = weights * sizes / _known(smooth, sizes)
    return functions @ coefficients if coefficients.ndim == 1 else (functions * coefficients).sum(axis=-1)


def scaling(smooth: Smooth, amplitude: Any, lengthscale: Any) -> Any:
    """h (m,): what the standard normal weights are multiplied by."""
    return _known(smooth, _sizes(smooth, amplitude, lengthscale))


def frequencies(smooth: Smooth) -> NDArray[np.float64]:
    """ω (m,)."""
    found: NDArray[np.float64] = np.arange(1.0, smooth.m + 1) * (math.pi / (2 * smooth.c * smooth.half))
    return found


def root_density(smooth: Smooth, lengthscale: Any) -> Any:
    """sqrt(S(ω)), (m,), or (n, m) for length scales (n,)."""
    scale = pt.shape_padright(lengthscale)
    squared = (frequencies(smooth) * scale) ** 2
    if smooth.kernel == "expquad":
        logarithm = 0.5 * math.log(2 * math.pi) + pt.log(scale) - squared / 2
    else:
        nu = _MATERN[smooth.kernel]
        constant = math.log(2 * math.sqrt(math.pi)) + nu * math.log(2 * nu)
        constant += math.lgamma(nu + 0.5) - math.lgamma(nu)
        logarithm = constant + pt.log(scale) - (nu + 0.5) * pt.log(2 * nu + squared)
    return pt.exp(logarithm / 2)


def _sizes(smooth: Smooth, amplitude: Any, lengthscale: Any) -> Any:
    """r: the prior sd of each coefficient."""
    return pt.shape_padright(amplitude) * root_density(smooth, lengthscale)


def _known(smooth: Smooth, sizes: Any) -> Any:
    information = ROWS / (2 * smooth.c * smooth.half * smooth.size**2)
    return pt.sqrt(1 + information * sizes**2)
