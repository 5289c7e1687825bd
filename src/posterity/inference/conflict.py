"""Prior–data conflict: where an entity's rows fall among what its prior predicted (Box, JRSSA 143, 1980)."""

import numpy as np
from scipy.special import ndtri

from posterity.inference.posterior import Floats

BLOCKS = 16
"""Rows are averaged into at most this many blocks, in order: a level, a trend or a shape that is off shows in
these, and their correlation can be learned from a thousand draws."""


def conflict_p(predictive: Floats, observed: Floats) -> float:
    """Probability, under the prior predictive, of rows at least as surprising as the observed ones.

    `predictive` is (R, n): rows of R draws from the prior predictive, in the order of `observed` (n,). The
    probability is uniform when the rows come from the prior, whatever their distribution: observed rows and
    draws are treated alike in every step, so their ranks are exchangeable (ties make it larger, never
    smaller). It is a multiple of 1 / (R + 1). Rows observed as NaN are left out; NaN where none remain.

    Surprise is z' C⁻¹ z of the blocks' normal scores z, with C their correlation among all R + 1 (shrunk by
    B / (B + R), so that it can always be inverted).
    """
    kept = ~np.isnan(observed)
    if not kept.any():
        return float("nan")
    blocks = _blocks(np.concatenate([observed[None, kept], predictive[:, kept]]))
    scores = ndtri(_shares(blocks))
    size, width = scores.shape
    sd = np.sqrt(np.mean(scores**2, axis=0))
    scores /= np.where(sd > 0, sd, 1)  # a constant column says nothing: its scores are 0
    correlation = scores.T @ scores / size
    shrinkage = width / (width + size)
    shrunk = (1 - shrinkage) * correlation + shrinkage * np.eye(width)
    surprise = np.einsum("ri,ri->r", scores @ np.linalg.inv(shrunk), scores)
    # Equal rows may differ in the last digit of a sum, and must count as ties.
    least = surprise[0] * (1 - 1e-9)
    return float(np.mean(surprise >= least))


def _blocks(rows: Floats) -> Floats:
    """Means (R + 1, B) of at most `BLOCKS` runs of neighbouring rows, of nearly equal length."""
    count = rows.shape[1]
    if count <= BLOCKS:
        return rows
    edges = np.linspace(0, count, BLOCKS + 1).round().astype(np.intp)
    with np.errstate(invalid="ignore", over="ignore"):  # draws from a wide prior may overflow
        means: Floats = np.add.reduceat(rows, edges[:-1], axis=1) / np.diff(edges)
    return means


def _shares(blocks: Floats) -> Floats:
    """Mid-rank of every value within its column, as a share between 0 and 1; NaN ranks as the largest."""
    size = len(blocks)
    columns = np.where(np.isnan(blocks), np.inf, blocks).T
    order = np.argsort(columns, axis=1)
    ordered = np.take_along_axis(columns, order, axis=1)
    ranks = np.broadcast_to(np.arange(size) + 0.5, columns.shape).copy()
    for column in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)):
        _, which, counts = np.unique(ordered[column], return_inverse=True, return_counts=True)
        ranks[column] = (np.cumsum(counts) - counts / 2)[which]
    shares = np.empty_like(ranks)
    np.put_along_axis(shares, order, ranks, axis=1)
    return shares.T / size
