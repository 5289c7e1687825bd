"""The light layers load without the heavy libraries: a command's `--help` must not wait for PyMC."""

import subprocess
import sys

import pytest

HEAVY = ("pymc", "pytensor", "nutpie", "arviz_stats", "mlflow", "prefect", "matplotlib")


@pytest.mark.parametrize(
    "module",
    [
        "posterity",
        "posterity.errors",
        "posterity.lineage",
        "posterity.config",
        "posterity.panel",
        "posterity.cli",
    ],
)
def test_loads_without_heavy_libraries(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert loaded == []
