"""Runs kept in memory: the twin of MLflow for tests and dry runs, as strict as the real one."""

import posixpath
import re
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from posterity.errors import TrackingError
from posterity.tracking import names
from posterity.tracking.tracker import (
    KEY_CHARACTERS,
    PARENT,
    Dataset,
    Ended,
    NewRun,
    Run,
    Status,
)

_KEY = re.compile(r"[/\w.\- :]*")


@dataclass
class MemoryTracker:
    """A tracker whose runs live as long as it does. `files` holds each run's artifacts as bytes by path."""

    experiment: str = "memory"
    uri: str = "memory:"
    runs: dict[str, Run] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    used: dict[str, list[Dataset]] = field(default_factory=dict)
    curves: dict[tuple[str, str], tuple[tuple[int, float], ...]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def prepare(self) -> str:
        """The id of the only experiment."""
        return "1"

    def open(self, run: NewRun) -> str:
        """See `Tracker`."""
        run_id = uuid.uuid4().hex
        tags = {k: names.tag(v) for k, v in run.tags.items()} | ({PARENT: run.parent} if run.parent else {})
        started = now() if run.started is None else run.started
        with self._lock:
            self.runs[run_id] = Run(run_id, names.run_name(run.name), "RUNNING", started, None, tags, {}, {})
            self.files[run_id], self.used[run_id] = {}, []
        return run_id

    def log(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """See `Tracker`."""
        for name in (*(metrics or {}), *(params or {}), *(tags or {})):
            _check_key(name)
        cut = {k: names.param(v) for k, v in (params or {}).items()}
        with self._lock:
            run = self.get(run_id)
            for name, value in cut.items():
                if run.params.get(name, value) != value:
                    raise TrackingError(
                        f"run {run_id}: param {name} is {run.params[name]!r} and stays so, not {value!r}"
                    )
            self.runs[run_id] = replace(
                run,
                metrics={**run.metrics, **{k: float(v) for k, v in (metrics or {}).items()}},
                params={**run.params, **cut},
                tags={**run.tags, **{k: names.tag(v) for k, v in (tags or {}).items()}},
            )

    def log_curve(self, run_id: str, name: str, points: Sequence[tuple[int, float]]) -> None:
        """See `Tracker`."""
        _check_key(name)
        with self._lock:
            run = self.get(run_id)
            known = {*self.curves.get((run_id, name), ()), *((int(s), float(v)) for s, v in points)}
            self.curves[run_id, name] = tuple(sorted(known))
            if known:
                self.runs[run_id] = replace(
                    run, metrics={**run.metrics, name: self.curves[run_id, name][-1][1]}
                )

    def curve(self, run_id: str, name: str) -> tuple[tuple[int, float], ...]:
        """See `Tracker`."""
        run = self.get(run_id)
        single = ((0, run.metrics[name]),) if name in run.metrics else ()
        return self.curves.get((run_id, name), single)

    def attach(self, run_id: str, path: Path, folder: str = "") -> None:
        """See `Tracker`."""
        self.get(run_id)
        sources = {path.name: path} if path.is_file() else {}
        sources |= {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file()}
        found = {posixpath.join(folder, name): source.read_bytes() for name, source in sources.items()}
        with self._lock:
            self.files[run_id] |= found

    def use(self, run_id: str, dataset: Dataset) -> None:
        """See `Tracker`."""
        with self._lock:
            self.get(run_id)
            known = {(d.name, d.digest) for d in self.used[run_id]}
            if (dataset.name, dataset.digest) not in known:
                self.used[run_id].append(dataset)

    def close(self, run_id: str, status: Ended, ended: int | None = None) -> None:
        """See `Tracker`."""
        with self._lock:
            self.runs[run_id] = replace(
                self.get(run_id), status=status, ended=now() if ended is None else ended
            )

    def get(self, run_id: str) -> Run:
        """See `Tracker`."""
        if run_id not in self.runs:
            raise TrackingError(f"there is no run {run_id!r} in {self.uri}")
        return self.runs[run_id]

    def find(self, *, parent: str | None = None, status: Status | None = None) -> tuple[Run, ...]:
        """See `Tracker`."""
        with self._lock:
            runs = tuple(self.runs.values())
        return tuple(r for r in runs if parent in (None, r.parent) and status in (None, r.status))

    def drop(self, run_id: str) -> None:
        """See `Tracker`."""
        with self._lock:
            self.get(run_id)
            del self.runs[run_id], self.files[run_id], self.used[run_id]

    def artifacts(self, run_id: str) -> tuple[str, ...]:
        """See `Tracker`."""
        self.get(run_id)
        return tuple(sorted(self.files[run_id]))

    def fetch(self, run_id: str, path: str, into: Path) -> Path:
        """See `Tracker`."""
        self.get(run_id)
        if path not in self.files[run_id]:
            raise TrackingError(f"run {run_id} in {self.uri} has no file {path!r}")
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.files[run_id][path])
        return target

    def datasets(self, run_id: str) -> tuple[Dataset, ...]:
        """See `Tracker`."""
        self.get(run_id)
        return tuple(self.used[run_id])

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _check_key(name: str) -> None:
    path = posixpath.normpath(name)
    bad_path = path != name or path == "." or path.startswith(("..", "/"))
    if bad_path or not _KEY.fullmatch(name) or len(name) > KEY_CHARACTERS:
        raise TrackingError(
            f"{name!r} is no name of a metric, param or tag; make one with posterity.tracking.names.key"
        )
