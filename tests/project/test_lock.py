"""requirements.lock pins all that pyproject.toml wants, and names nothing of the machine that wrote it."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


@pytest.fixture(scope="module")
def lock(checkout: Path) -> str:
    return (checkout / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pins(lock: str) -> dict[str, set[Version]]:
    """Name -> pinned versions: more than one where platforms differ."""
    found: dict[str, set[Version]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;]+)", lock, flags=re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found


def direct_dependencies(checkout: Path) -> list[Requirement]:
    document = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    lists = [
        document["project"]["dependencies"],
        *document["project"]["optional-dependencies"].values(),
        *document["dependency-groups"].values(),
        document["build-system"]["requires"],
    ]
    return [Requirement(text) for texts in lists for text in texts]


def test_every_direct_dependency_is_pinned_within_its_bounds(
    checkout: Path, pins: dict[str, set[Version]]
) -> None:
    wrong = [
        f"{requirement}: pinned {sorted(map(str, pins.get(canonicalize_name(requirement.name), ())))}"
        for requirement in direct_dependencies(checkout)
        if not any(v in requirement.specifier for v in pins.get(canonicalize_name(requirement.name), ()))
    ]
    assert wrong == [], "run `make lock`"


def test_every_line_is_a_pin_or_a_comment(lock: str) -> None:
    odd = [
        line for line in lock.splitlines() if not re.match(r"\s*#|[A-Za-z0-9._-]+==[^\s;@]+( ; .+)?$", line)
    ]
    assert odd == []


def test_no_address_and_no_path(lock: str) -> None:
    assert "://" not in lock
    assert re.findall(r"(?:^|[\s=\"'])(?:[A-Za-z]:\\|~?/)\S+", lock) == []


def test_it_says_how_it_is_made(lock: str) -> None:
    assert "make lock" in "".join(lock.splitlines(keepends=True)[:3])
