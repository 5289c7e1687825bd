"""Eight schools by the two-stage route against the joint reference posterior of posteriordb."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from posterity import Portfolio
from posterity.inference import compiled

SCHOOLS = "ABCDEFGH"
CONFIG: dict[str, Any] = {
    "name": "schools",
    "data": {"entity": "school", "target": "estimate"},
    "model": {
        "parameters": {"theta": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 5}}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "theta", "sigma": "standard_error"}},
    },
    "transfer": {
        "established": {"min_rows": 1},
        "pool": {"shrink": True, "spread": {"theta": {"dist": "HalfCauchy", "kwargs": {"beta": 5}}}},
    },
    "inference": {"method": "laplace", "draws": 4_000, "chains": 4, "keep": "all"},
    "gates": {"ess": 200},
}


@pytest.fixture(scope="module")
def found(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.float64]]:
    raw = json.loads((data_dir / "posteriordb" / "data" / "eight_schools.json").read_text())
    table = pa.table(
        {
            "school": list(SCHOOLS),
            "estimate": np.array(raw["y"], dtype=float),
            "standard_error": np.array(raw["sigma"], dtype=float),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)  # nothing to wait for
        result = Portfolio(CONFIG).fit(table, out=tmp_path_factory.mktemp("schools") / "a", workers=0)
    assert result.counts["failed"] == 0
    population = result.population
    assert population is not None
    thetas = {e: group["theta"].to_numpy() for e, group in result.draws.groupby("entity")}
    print(result.entities[["entity", "status", "method", "khat", "ess_bulk"]], population.khat)
    return {"mu": population.mean[:, 0], "tau": population.sds[:, 0]} | {
        f"theta[{i + 1}]": thetas[school] for i, school in enumerate(SCHOOLS)
    }


@pytest.fixture(scope="module")
def reference(data_dir: Path) -> dict[str, dict[str, float]]:
    file = data_dir / "posteriordb" / "eight_schools-eight_schools_noncentered.json"
    return dict(json.loads(file.read_text())["reference"])


def off(
    found: dict[str, NDArray[np.float64]], reference: dict[str, dict[str, float]], size: float
) -> dict[str, tuple[float, float]]:
    """z of the mean, with an error of `size` effective draws, and ratio of the sds."""
    out = {}
    for name, draws in found.items():
        mean, sd = reference[name]["mean"], reference[name]["sd"]
        error = np.hypot(sd / np.sqrt(size), reference[name]["mcse_mean"])
        out[name] = (float((draws.mean() - mean) / error), float(draws.std() / sd))
        print(f"{name:9} z {out[name][0]:5.2f}  sd ratio {out[name][1]:.3f}")
    return out


def test_mean_and_spread_of_the_schools(
    found: dict[str, NDArray[np.float64]], reference: dict[str, dict[str, float]]
) -> None:
    for z, ratio in off({name: found[name] for name in ("mu", "tau")}, reference, 2_000).values():
        assert abs(z) < 4
        assert ratio == pytest.approx(1, abs=0.04)


def test_each_school_partially_pooled(
    found: dict[str, NDArray[np.float64]], reference: dict[str, dict[str, float]]
) -> None:
    thetas = {name: draws for name, draws in found.items() if name.startswith("theta")}
    judged = off(thetas, reference, 2_000)
    for z, ratio in judged.values():
        assert abs(z) < 4
        assert ratio == pytest.approx(1, abs=0.04)
    # The twin: means moved by half an sd are told apart.
    moved = {name: draws + 0.5 * draws.std() for name, draws in thetas.items()}
    assert min(abs(z) for z, _ in off(moved, reference, 2_000).values()) > 4
