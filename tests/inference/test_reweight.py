"""Draws weighted by new rows: a mean of known answer, and copies that are no heavy tail."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from posterity.config.schema import Gates
from posterity.inference.posterior import Failure, Posterior
from posterity.inference.reweight import Particles, reweight

GATES = Gates(khat=0.7, ess=400)
COUNT = 4_000


@dataclass
class Mean:
    """Rows of sd 1 around an unknown mean: what `reweight` asks of a compiled model."""

    rows: np.ndarray

    def densities(self, thetas: np.ndarray, _: object) -> np.ndarray:
        return -0.5 * ((self.rows - thetas) ** 2).sum(axis=1)

    def parameters(self, thetas: np.ndarray, _: object) -> np.ndarray:
        return thetas


def particles(sd: float, resampled: bool) -> Particles:
    """Draws of a normal posterior around 0; `resampled` ones have copies, as stored draws do."""
    rng = np.random.default_rng(4)
    draws = rng.normal(scale=sd, size=(COUNT, 1))
    if resampled:
        weights = np.exp(0.2 * draws[:, 0] / sd)
        draws = draws[rng.choice(COUNT, COUNT, p=weights / weights.sum())]
    thetas, copies = np.unique(draws, axis=0, return_counts=True)
    return Particles(thetas, copies, np.zeros(len(thetas)), 4, COUNT // 4)


def weighted(old: Particles, rows: np.ndarray) -> Posterior | Failure:
    return reweight(Mean(rows), {}, old, np.random.default_rng(1), GATES)


def test_the_mean_after_new_rows_is_the_exact_one() -> None:
    rows = np.array([0.3, 0.5, -0.1, 0.4])
    found = weighted(particles(0.5, resampled=False), rows)
    assert isinstance(found, Posterior)
    precision = 1 / 0.5**2 + len(rows)
    assert found.draws.mean() == pytest.approx(rows.sum() / precision, abs=0.02)
    assert found.draws.std() == pytest.approx(precision**-0.5, rel=0.03)


def test_copies_are_no_heavy_tail() -> None:
    """Of 4,000 resampled draws some 1,500 are copies; a row that says next to nothing leaves weights even."""
    old, row = particles(0.02, resampled=True), np.array([0.1])
    assert len(old.thetas) < 0.7 * COUNT
    found = weighted(old, row)
    assert isinstance(found, Posterior)
    assert found.diagnostics.khat < 0.3
    # The twin: a copied draw as one of more weight has ratios of 1, 2, 3, ..., whose tail looks heavy.
    one = replace(old, copies=np.ones_like(old.copies), log_weights=np.log(old.copies))
    wrong = weighted(one, row)
    assert isinstance(wrong, Failure) or wrong.diagnostics.khat > found.diagnostics.khat + 0.3


def test_rows_far_from_every_draw_are_a_failure() -> None:
    found = weighted(particles(0.5, resampled=False), np.full(40, 4.0))
    assert isinstance(found, Failure)
    assert "k-hat" in found.reason or "ESS" in found.reason
