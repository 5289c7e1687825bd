"""scripts/setup: nothing to do is quick, what it cannot do it says (a clone's `.ci/run` proves the rest)."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.fixture
def bare(checkout: Path, tmp_path: Path) -> Path:
    """A checkout's set-up files, without a .venv, in a folder whose name is hard on shell scripts."""
    folder = tmp_path / "a checkout's copy"
    (folder / "scripts").mkdir(parents=True)
    for name in ("pyproject.toml", "requirements.lock", "scripts/setup"):
        shutil.copy2(checkout / name, folder / name)
    return folder


def setup(folder: Path, *extras: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "scripts" / "setup", *extras],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "")} | environment,
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with the shell's tools and a pyenv shim that fails when it is run, but no Python and no uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (
        "sh",
        "dirname",
        "sed",
        "sort",
        "tr",
        "cat",
        "cmp",
        "grep",
        "rm",
        "mv",
        "date",
        "awk",
        "flock",
    ):
        if program := shutil.which(name):
            (folder / name).symlink_to(program)
    shim = folder / "python3.13"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    return folder


def finished(folder: Path) -> None:
    """As a finished set-up leaves it, with the interpreter of these tests behind it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    version = ".".join(map(str, sys.version_info[:3]))
    inputs = "".join(
        (folder / name).read_text() for name in ("pyproject.toml", "requirements.lock", "scripts/setup")
    )
    (folder / ".venv" / "posterity-setup").write_text(f"root {folder}\npython {version}\nextras \n{inputs}")


def test_a_second_run_does_nothing_and_is_quick(bare: Path) -> None:
    finished(bare)
    began = time.perf_counter()
    result = setup(bare)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert time.perf_counter() - began < 10  # installing takes half a minute


@pytest.mark.parametrize("changed", ["pyproject.toml", "requirements.lock", "scripts/setup"])
def test_a_change_of_any_input_is_noticed(bare: Path, tools: Path, changed: str) -> None:
    finished(bare)
    with (bare / changed).open("a") as file:
        file.write("# one more line\n")
    (bare / ".venv" / "bin" / "python").unlink()  # so that the work it now starts ends early
    assert setup(bare, PATH=str(tools), PYENV_ROOT="", HOME=str(tools)).returncode == 1


def test_an_interrupted_run_is_started_afresh(bare: Path, tools: Path) -> None:
    finished(bare)
    (bare / ".venv" / "posterity-unfinished").touch()
    result = setup(bare, PATH=str(tools), HOME=str(tools))
    assert "interrupted" in result.stderr
    assert not (bare / ".venv" / "posterity-setup").exists()


def test_without_a_python_it_says_what_to_install(bare: Path, tools: Path) -> None:
    result = setup(bare, PATH=str(tools), HOME=str(tools))
    assert result.returncode == 1
    assert "no usable Python 3.12 or newer" in result.stderr
    assert "python.org" in result.stderr
    assert "uv" in result.stderr


def test_an_old_python_is_refused(bare: Path, tools: Path) -> None:
    result = setup(bare, PATH=str(tools), HOME=str(tools), POSTERITY_PYTHON=str(tools / "python3.13"))
    assert result.returncode == 1
    assert "POSTERITY_PYTHON" in result.stderr


def test_an_unknown_extra_is_named(bare: Path) -> None:
    result = setup(bare, "rya")
    assert result.returncode == 1
    assert "'rya'" in result.stderr
    assert "dask ray bench docs" in result.stderr
