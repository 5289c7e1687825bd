"""Posteriors are calibrated, and the suite that says so goes red for planted faults."""

import numpy as np
import pytest

from posterity.inference.compiled import CompiledModel
from tests.calibration import simulations
from tests.calibration.uniformity import departures, mean_and_spread, outside_envelope

SIMULATIONS = 400


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    return simulations.line()


def test_laplace_is_calibrated(model: CompiledModel) -> None:
    assert departures(simulations.transforms(model, SIMULATIONS, "laplace")) == []


FAULTS = {
    "sd x 0.8": {"fault": simulations.narrow},
    "+ 0.3 sd": {"fault": simulations.shifted},
    "likelihood counted twice": {"copies": 2},
    "ranks of an unthinned chain": {"fault": simulations.unthinned},
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(model: CompiledModel, name: str) -> None:
    found = departures(simulations.transforms(model, SIMULATIONS, "laplace", **FAULTS[name]))
    assert found, f"{name} went unnoticed"


def test_a_dropped_prior_is_found(model: CompiledModel) -> None:
    """Twelve rows say so much more than the priors do that nobody could tell; three do not."""
    few = {"rows": 3}
    assert departures(simulations.transforms(model, SIMULATIONS, "laplace", **few)) == []
    assert departures(
        simulations.transforms(model, SIMULATIONS, "laplace", **few, fault=simulations.prior_dropped)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("method", "size"), [("laplace", 1_000), ("auto", 1_000), ("nuts", 1_000)])
def test_calibrated_in_full(model: CompiledModel, method: str, size: int) -> None:
    assert departures(simulations.transforms(model, size, method)) == []


def test_uniform_numbers_are_called_uniform() -> None:
    """The suite's own rate of false alarms: 200 suites of five uniform quantities."""
    rng = np.random.default_rng(3)
    alarms = sum(bool(departures({str(i): rng.random(SIMULATIONS) for i in range(5)})) for _ in range(200))
    assert alarms <= 7  # 2 expected; 8 or more happen once in a thousand


def test_the_two_tests_see_different_faults() -> None:
    rng = np.random.default_rng(4)
    narrow = rng.beta(1.5, 1.5, 1_000)
    assert mean_and_spread(narrow) < 1e-6
    grid = (np.floor(rng.random(1_000) * 4) + 0.5) / 4  # right mean and nearly right spread, wrong shape
    assert outside_envelope(grid, 1e-3)
