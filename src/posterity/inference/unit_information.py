"""The vague component of a robust prior: about as informative as one row.

Sources: Schmidli et al., Biometrics 70:1023, 2014; unit information: Kass & Wasserman, JASA 90:928, 1995.
"""

import numpy as np

from posterity.errors import ModelError
from posterity.inference.posterior import Floats

WIDER = 4.0
"""The vague covariance is at least this many times the population's in every direction: twice its sd."""
UNDECLARED = 1e4
"""A flat declared prior is no limit; then this many times the population's variance is."""


def vague(information: Floats, declared: Floats, population: Floats) -> Floats:
    """Covariance (D, D) of the vague component, from one row's information and two covariances (D, D).

    That of unit information, but in no direction wider than the declared prior (a row that says nothing about
    a direction, or an `information` that is singular or indefinite there, leaves the declared prior), and in
    every direction at least `WIDER` times the population's, which wins over the declared prior. A "direction"
    is a joint eigenvector of the two covariances, so the answer does not depend on the entries' units.
    Infinite variances in `declared` are flat priors.
    """
    limit = _finite(declared, population)
    # One row: a matrix with numbers that are not finite says nothing.
    said = information if np.isfinite(information).all() else np.zeros_like(limit)
    lower = _lower(limit, "declared prior")
    values, vectors = np.linalg.eigh(_symmetric(lower.T @ said @ lower))
    root = lower @ (vectors / np.sqrt(np.maximum(values, 1)))
    # root @ root.T is the answer but for the population.
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(_symmetric(inverse @ population @ inverse.T))
    wide = root @ (vectors * np.sqrt(np.maximum(WIDER * values, 1)))
    covariance: Floats = _symmetric(wide @ wide.T)
    return covariance


def _finite(declared: Floats, population: Floats) -> Floats:
    """The declared covariance with a wide number, and no correlation, where it is infinite."""
    flat = ~np.isfinite(np.diagonal(declared))
    limit = np.where(flat[:, None] | flat, 0.0, declared)
    wide = UNDECLARED * np.diagonal(population)
    limit[flat, flat] = np.where(wide > 0, wide, 1.0)[flat]
    return limit


def _lower(covariance: Floats, name: str) -> Floats:
    """Cholesky factor (D, D), found on the scale of correlations so that units do not matter."""
    scale = np.sqrt(np.abs(np.diagonal(covariance)))
    try:
        lower: Floats = scale[:, None] * np.linalg.cholesky(covariance / scale[:, None] / scale)
    except np.linalg.LinAlgError:
        raise ModelError(f"the covariance of the {name} is not positive definite") from None
    return lower


def _symmetric(matrix: Floats) -> Floats:
    half: Floats = (matrix + matrix.T) / 2
    return half
