"""Versions kept in memory: the twin of MLflow's registry for tests."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from posterity.errors import TrackingError
from posterity.tracking.memory import MemoryTracker
from posterity.tracking.registry.registry import Version
from posterity.tracking.serving import ARTIFACT, FOLDER


@dataclass
class MemoryRegistry:
    """Versions, aliases, and models as files of the tracker's runs."""

    tracker: MemoryTracker
    found: dict[str, list[Version]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], int] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def uri(self) -> str:
        """That of the tracker."""
        return self.tracker.uri

    def versions(self, name: str) -> tuple[Version, ...]:
        """See `Registry`."""
        return tuple(self.found.get(name, ()))

    def create(self, name: str, run_id: str, model: Path, tags: Mapping[str, str]) -> Version:
        """See `Registry`."""
        self.tracker.attach(run_id, model, FOLDER)
        with self._lock:
            versions = self.found.setdefault(name, [])
            versions.append(Version(name, len(versions) + 1, run_id, dict(tags)))
            return versions[-1]

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """See `Registry`."""
        with self._lock:
            there = self._position(version)
            own = self.found[version.name]
            own[there] = replace(own[there], tags={**own[there].tags, **tags})

    def pointed(self, name: str, alias: str) -> int | None:
        """See `Registry`."""
        return self.aliases.get((name, alias))

    def point(self, version: Version, alias: str) -> None:
        """See `Registry`."""
        self._position(version)
        self.aliases[version.name, alias] = version.number

    def attach(self, version: Version, path: Path, folder: str) -> None:
        """See `Registry`."""
        self.tracker.attach(version.run_id, path, folder)

    def result(self, version: Version, into: Path) -> Path:
        """See `Registry`."""
        start = f"{FOLDER}/{ARTIFACT}/"
        for name, content in self.tracker.files[version.run_id].items():
            if name.startswith(start):
                file = into / name.removeprefix(start)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        return into

    @contextmanager
    def alone(self, name: str) -> Generator[None]:
        """See `Registry`."""
        with self._lock:
            yield

    def _position(self, version: Version) -> int:
        for i, own in enumerate(self.found.get(version.name, ())):
            if own.number == version.number:
                return i
        raise TrackingError(f"{self.uri}: there is no {version}")
