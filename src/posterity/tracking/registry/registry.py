"""What a model registry must be able to do, in the few words that promotion needs.

Two classes do it: `MlflowRegistry`, and its twin for tests, `MemoryRegistry`.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from posterity.errors import TrackingError

CHALLENGER = "challenger"
CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version of a portfolio. `run_id` is the tracked run of its result and holds the model."""

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"


class Registry(Protocol):
    """Versions of portfolios with tags, and aliases that point to them.

    Every method raises TrackingError for an unknown version and where the place cannot be reached.
    """

    @property
    def uri(self) -> str:
        """The address, without secrets."""

    def versions(self, name: str) -> Sequence[Version]:
        """All versions, ascending; none for a name that is not registered."""

    def create(self, name: str, run_id: str, model: Path, tags: Mapping[str, str]) -> Version:
        """Store a model's folder in a run and register it as the next version, tags included, at once."""

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""

    def pointed(self, name: str, alias: str) -> int | None:
        """The number of the version that an alias points to."""

    def point(self, version: Version, alias: str) -> None:
        """Let an alias point to a version."""

    def attach(self, version: Version, path: Path, folder: str) -> None:
        """Store a file in a folder of the artifacts of the version's run."""

    def result(self, version: Version, into: Path) -> Path:
        """The folder of the version's result, brought into the folder `into` where it is elsewhere."""

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Keeps other processes of this machine from moving aliases meanwhile, where that can be done."""


def at(registry: Registry, name: str, number: int) -> Version:
    """A version by its number; TrackingError says which there are."""
    versions = registry.versions(name)
    for version in versions:
        if version.number == number:
            return version
    there = ", ".join(str(v.number) for v in versions[-10:]) or "none"
    raise TrackingError(f"{registry.uri}: {name} has no version {number}; there is {there}")


def aliased(registry: Registry, name: str, alias: str) -> Version | None:
    """The version that an alias points to; None where it points nowhere."""
    number = registry.pointed(name, alias)
    return None if number is None else at(registry, name, number)
