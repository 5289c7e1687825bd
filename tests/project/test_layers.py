"""Every folder of the library is a declared layer, and an import that goes up is found."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


@pytest.fixture
def copy(checkout: Path, tmp_path: Path) -> Path:
    """The library, its flows and its contracts, somewhere they can be broken."""
    shutil.copy(checkout / "pyproject.toml", tmp_path)
    for folder in ("src", "flows"):
        shutil.copytree(checkout / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder)])}
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_every_folder_of_the_library_is_a_layer(checkout: Path) -> None:
    contracts = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    declared = next(contract["layers"] for contract in contracts if contract.get("exhaustive"))
    library = checkout / "src" / "posterity"
    present = {path.stem for path in library.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert present - {"__init__", "__pycache__"} == set(declared)


def test_an_undeclared_folder_is_found(copy: Path) -> None:
    (copy / "src" / "posterity" / "extras").mkdir()
    (copy / "src" / "posterity" / "extras" / "__init__.py").write_text('"""Nobody declared this."""\n')
    result = lint(copy)
    assert result.returncode == 1
    assert "extras" in result.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        pytest.param("errors.py", "import posterity.cli", id="upwards"),
        pytest.param("config/__init__.py", "def late():\n    import pymc", id="pymc-below-models"),
        pytest.param("portfolio/__init__.py", "def late():\n    import mlflow", id="mlflow-outside-tracking"),
        pytest.param("tracking/__init__.py", "import prefect", id="prefect-in-the-library"),
        pytest.param("cli/__init__.py", "import flows", id="flows-in-the-library"),
    ],
)
def test_an_import_against_the_layers_is_found(copy: Path, module: str, line: str) -> None:
    path = copy / "src" / "posterity" / module
    path.write_text(f"{path.read_text()}\n\n{line}\n")
    result = lint(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout
