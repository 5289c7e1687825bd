"""Prior–data conflict: where an entity's rows fall among what its prior predicted (Box, JRSSA 143, 1980)."""

import numpy as np
from scipy.special import ndtri

from posterity.inference.posterior import Floats

BLOCKS = 16
"""Rows are averaged into at most this many blocks, in order: a level, a trend or a shape that is off shows in
these, and their correlation can be learned from a thousand draws."""
TIED = 1e-9
"""Statistics that differ by less, relatively, are equal."""


def conflict_p(predictive: Floats, observed: Floats) -> float:
    """Probability, under the prior predictive, of rows at least as surprising as the observed ones.

    `predictive` is (R, n): rows of R draws from the prior predictive, in the order of `observed` (n,). The
    probability is uniform when the rows come from the prior, whatever their distribution: observed rows and
    draws are treated alike in every step, so their ranks are exchangeable (ties make it larger, never
    smaller). It is a multiple of 1 / (R + 1). Rows observed as NaN are left out; NaN where none remain.

    Every block's value becomes its normal score among the R + 1, and four things can be surprising about the
    scores z with correlation C: their mean, the two leading components of C, and z' C⁻¹ z. The last is blind
    to nothing, but ranks end at the most extreme draw, and what parameters do to all blocks at once is then
    lost in it. The smallest of the four probabilities counts, itself ranked among those of the draws
    (Westfall & Young 1993).
    """
    kept = ~np.isnan(observed)
    if not kept.any():
        return float("nan")
    if not kept.all():
        predictive, observed = predictive[:, kept], observed[kept]
    blocks = np.concatenate([_blocks(observed[None]), _blocks(predictive)])
    surprises = _surprises(ndtri(_shares(blocks)))
    # The share of rows at least as surprising; equal ones differ in the last digits of a sum.
    ordered = np.sort(surprises, axis=1)
    tails = np.array(
        [
            1 - np.searchsorted(column, one * (1 - TIED) - TIED) / len(blocks)
            for column, one in zip(ordered, surprises, strict=True)
        ]
    )
    # Many rows share a smallest probability; among these the mean decides.
    total = np.log(tails.min(axis=0)) + TIED * np.log(tails).mean(axis=0)
    return float(np.mean(total <= total[0] + TIED**2))


def _surprises(scores: Floats) -> Floats:
    """Four statistics (4, R + 1) of normal scores (R + 1, B): mean, two leading components, whole distance.

    The correlation is shrunk by B / (B + R + 1), so that it can always be inverted.
    """
    sd = np.sqrt(np.mean(scores**2, axis=0))
    scores = scores / np.where(sd > 0, sd, 1)  # a constant column says nothing: its scores are 0
    size, width = scores.shape
    shrinkage = width / (width + size)
    values, vectors = np.linalg.eigh(scores.T @ scores / size)
    along = scores @ vectors
    whole = (along**2 / ((1 - shrinkage) * values + shrinkage)).sum(axis=1)
    leading = along[:, [-1, max(width - 2, 0)]].T
    return np.vstack([np.abs(scores.mean(axis=1)), np.abs(leading), whole])


def _blocks(rows: Floats) -> Floats:
    """Means (R, B) of at most `BLOCKS` runs of neighbouring rows, of nearly equal length."""
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
