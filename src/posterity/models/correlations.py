"""A correlation matrix as its canonical partial correlations, with the LKJ prior (Lewandowski, Kurowicka &
Joe, J. Multivariate Anal. 100:1989, 2009).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

LKJ = 2.0
"""Shape of the prior."""


def partial_correlations(name: str, size: int) -> list[Any]:
    """Canonical partial correlations of a matrix, row by row below the diagonal, in the current model.

    `name` is the variable that holds them on the real line. In column j, from 0, the density of each is
    proportional to (1 - r²)^(η + (size - j)/2 - 2); tanh's Jacobian adds 1 to the exponent.
    """
    pairs = [(i, j) for i in range(size) for j in range(i)]
    raw = pm.Flat(name, shape=len(pairs), initval=np.zeros(len(pairs)))
    exponents = np.array([LKJ + (size - j) / 2 - 1 for _, j in pairs])
    # log(1 - tanh(x)²) without the rounding of large x.
    log_room = 2 * (np.log(2) - pt.abs(raw) - pt.log1p(pt.exp(-2 * pt.abs(raw))))
    pm.Potential("correlations", (exponents * log_room).sum())
    partial = pt.tanh(raw)
    return [partial[i] for i in range(len(pairs))]


def cholesky(partial: Sequence[Any], size: int, numbers: Any) -> list[list[Any]]:
    """Rows of the Cholesky factor of a correlation matrix with these canonical partial correlations.

    `numbers` is NumPy or PyTensor.
    """
    rows: list[list[Any]] = []
    at = iter(partial)
    for i in range(size):
        left: Any = 1.0
        row = []
        for _ in range(i):
            r = next(at)
            row.append(r * numbers.sqrt(left))
            left = left * (1 - r**2)
        rows.append([*row, numbers.sqrt(left), *[0.0] * (size - i - 1)])
    return rows
