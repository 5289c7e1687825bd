"""The commands a newcomer meets: `make help` names every target, the README the two that matter."""

import re
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def targets(checkout: Path) -> list[str]:
    makefile = (checkout / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    return phony[1].split()


def test_every_target_is_phony(checkout: Path, targets: list[str]) -> None:
    defined = re.findall(r"^([a-z][\w-]*):(?!=)", (checkout / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(defined) == set(targets)


def test_help_is_the_default_and_lists_every_target(checkout: Path, targets: list[str]) -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout
    listed = re.findall(r"^\s+(?:\x1b\[1m)?([a-z][\w-]*)\s*(?:\x1b\[0m)?\s+\S", shown, flags=re.MULTILINE)
    assert set(targets) == set(listed)


def test_the_first_screen_of_the_readme_has_both_commands(checkout: Path) -> None:
    screen = (checkout / "README.md").read_text(encoding="utf-8").splitlines()[:30]
    assert any(re.match(r"\s*make run\b", line) for line in screen)
    assert any(re.match(r"\s*make test\b", line) for line in screen)


def test_ci_runs_the_two_gates(checkout: Path) -> None:
    script = checkout / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "not executable"
    assert "for target in check test" in script.read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["scripts/setup", "scripts/lock"])
def test_scripts_are_executable(checkout: Path, script: str) -> None:
    assert (checkout / script).stat().st_mode & 0o111
