"""A refit that is killed anywhere goes on where it was, and comes to the same result to the byte."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CHECKOUT


def killed(folder: Path, seed: int, kills: int) -> dict[str, Any]:
    """In a process of its own: copies of one with other threads could not be made safely."""
    command = [sys.executable, "-m", "tests.portfolio.killed", str(folder), str(seed), str(kills)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=1_800)
    assert done.returncode == 0, done.stderr[-3_000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check(found: dict[str, Any], kills: int) -> None:
    assert len(found["died"]) >= kills
    assert found["points"] > 1_000  # of the library's functions, many are on the way
    assert found["differences"] == []


@pytest.mark.slow
def test_a_refit_killed_twice_comes_to_the_same_result(tmp_path: Path) -> None:
    check(killed(tmp_path, seed=1, kills=2), 2)


@pytest.mark.slow
def test_a_refit_killed_at_twenty_random_points_comes_to_the_same_result(tmp_path: Path) -> None:
    found = killed(tmp_path, seed=20, kills=20)
    check(found, 20)
    modules = {path for _, path, _ in found["died"]}
    assert len(modules) > 8  # all over the place


@pytest.mark.slow
def test_a_result_that_differs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison would notice: the same rows taken in by another mode, or a part left behind."""
    from posterity.inference import compiled
    from posterity.portfolio.refit.run import refit
    from tests.portfolio.killed import begun, different
    from tests.portfolio.refitted import carry_everything

    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)
    carry_everything(monkeypatch)
    base, delivery = begun(tmp_path / "base")
    one, same = (refit(base, delivery, out=tmp_path / n, workers=0).result for n in ("a", "b"))
    assert list(different(same, one)) == []
    (tmp_path / "b" / "parts").mkdir()
    assert any("left behind" in line for line in different(same, one))
    other = refit(base, delivery, mode="exact", out=tmp_path / "c", workers=0).result
    assert any("draws.parquet" in line for line in different(other, one))
