"""Two trackers that must behave alike, and a result to record. MLflow's tables are made once and copied."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from posterity.portfolio.result import Result, open_result
from posterity.tracking import MemoryTracker, Tracker, connect, prepare
from tests.portfolio.example import build


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    prepare(f"sqlite:///{folder}/mlflow.db", "unused")
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def database(empty_database: Path) -> Callable[[Path], str]:
    """Makes an MLflow database in a folder; returns its address."""

    def make(folder: Path) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(empty_database, folder / "mlflow.db")
        return f"sqlite:///{folder}/mlflow.db"

    return make


@pytest.fixture(params=["memory", "mlflow"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path, database: Callable[[Path], str]) -> Tracker:
    if request.param == "memory":
        return MemoryTracker("adoption")
    return connect(database(tmp_path / "runs"), "adoption")


@pytest.fixture(scope="session")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return open_result(build(tmp_path_factory.mktemp("example") / "result", weeks=12, draws=25))
