"""What a place that keeps runs must be able to do, in the few words that tracking needs.

Two classes do it: `MlflowTracker`, and its twin for tests and dry runs, `MemoryTracker`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

type Ended = Literal["FINISHED", "FAILED", "KILLED"]
type Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
RUN_NAME = "mlflow.runName"

KEY_CHARACTERS = 250
PARAM_CHARACTERS = 6_000
TAG_CHARACTERS = 8_000


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to open. `started` is in milliseconds since 1970 (default: now)."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None
    started: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is now; times in milliseconds since 1970. Metrics hold the last value only."""

    run_id: str
    name: str
    status: Status
    started: int
    ended: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def parent(self) -> str | None:
        """The run this one is folded under."""
        return self.tags.get(PARENT)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Data that a run used: `digest` at most 36 characters, `columns` as pairs of name and MLflow type."""

    name: str
    digest: str
    source: str
    columns: tuple[tuple[str, str], ...]
    rows: int
    context: str = "training"


class Tracker(Protocol):
    """An experiment in some place that keeps runs. Values that are too long are cut, never refused.

    Every method raises TrackingError for an unknown run and where the place cannot be reached. Names of
    metrics and params must be what `posterity.tracking.names` makes; a param that has a value keeps it, and
    another value is a TrackingError. Implementations pickle, and may be used from several threads.
    """

    @property
    def uri(self) -> str:
        """The address, without secrets."""

    @property
    def experiment(self) -> str:
        """Name of the experiment."""

    def prepare(self) -> str:
        """Make database and experiment where absent, also in a race; returns the experiment's id."""

    def open(self, run: NewRun) -> str:
        """Begin a run, in state RUNNING; returns its id."""

    def log(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Add finite metrics, params and tags, in as few requests as limits allow."""

    def log_curve(self, run_id: str, name: str, points: Sequence[tuple[int, float]]) -> None:
        """Add a finite metric at several steps, which a chart draws as a curve; its value is the last one."""

    def curve(self, run_id: str, name: str) -> Sequence[tuple[int, float]]:
        """Steps and values of a metric, in their order; none for a name that was not logged."""

    def attach(self, run_id: str, path: Path, folder: str = "") -> None:
        """Store a file, or what a folder holds, in the `folder` of the run's artifacts."""

    def use(self, run_id: str, dataset: Dataset) -> None:
        """Record that the run used a dataset."""

    def close(self, run_id: str, status: Ended, ended: int | None = None) -> None:
        """End a run. `ended` is in milliseconds since 1970 (default: now)."""

    def get(self, run_id: str) -> Run:
        """The run as it is now."""

    def find(self, *, parent: str | None = None, status: Status | None = None) -> Sequence[Run]:
        """Runs of the experiment, of a parent, in a state; all of them, but dropped ones."""

    def drop(self, run_id: str) -> None:
        """Take a run out of sight."""

    def artifacts(self, run_id: str) -> Sequence[str]:
        """Paths of the stored files, sorted, with `/` between folders."""

    def fetch(self, run_id: str, path: str, into: Path) -> Path:
        """Bring a stored file, by its path, into the folder `into`; returns where it is then."""

    def datasets(self, run_id: str) -> Sequence[Dataset]:
        """What the run used."""
