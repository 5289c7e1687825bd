"""Transfer as a whole is calibrated, from the population's hyperprior to a new entity's posterior, and the
suite that says so goes red for planted faults.
"""

from pathlib import Path
from typing import Any

import pytest

from posterity.inference import compiled
from posterity.portfolio import transfer
from tests.calibration import portfolios
from tests.calibration.portfolios import Design, simulate, transforms
from tests.calibration.uniformity import departures

FAULTS: dict[str, dict[str, Any]] = {
    "spread dropped": {"of_population": portfolios.no_spread},
    "prior sd x 0.5": {"of_prior": portfolios.narrow},
}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Fewer draws of each population, and where there are few simulations, nothing to compile."""
    monkeypatch.setattr("posterity.portfolio.population.sampling.MOST_DRAWS", 500)
    monkeypatch.setattr(transfer, "DRAWS", 1_000)
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(transfer, "DRAWS", 400)
        monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)


def test_a_few_simulations_show_no_gross_fault_and_a_planted_one(tmp_path: Path) -> None:
    design = Design(teachers=6)
    plan = design.plan()
    given = simulate(design, plan, 12, seed=3)
    assert departures(transforms(design, plan, given, tmp_path)) == []
    assert departures(transforms(design, plan, given, tmp_path, **FAULTS["spread dropped"]))


@pytest.mark.slow
def test_calibrated_where_noise_is_known(tmp_path: Path) -> None:
    design = Design(teachers=4)
    plan = design.plan()
    given = simulate(design, plan, 400, seed=11)
    assert departures(transforms(design, plan, given, tmp_path)) == []
    for name, fault in FAULTS.items():
        assert departures(transforms(design, plan, given, tmp_path, **fault)), f"{name} went unnoticed"
    twice = simulate(design, plan, 400, seed=11, copies=2)
    assert departures(transforms(design, plan, twice, tmp_path)), "teachers counted twice went unnoticed"


@pytest.mark.slow
def test_calibrated_where_noise_is_shared_and_learned(tmp_path: Path) -> None:
    design = Design(teachers=5, rows=10, shared=True)
    plan = design.plan()
    given = simulate(design, plan, 400, seed=12)
    assert departures(transforms(design, plan, given, tmp_path)) == []
    for name, fault in FAULTS.items():
        assert departures(transforms(design, plan, given, tmp_path, **fault)), f"{name} went unnoticed"
