"""What a run of the train flow says about itself: as a value, as JSON, and as a line for people."""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from posterity.portfolio.execute import Stage
    from posterity.tracking import Tracker


@dataclass(frozen=True)
class Tracked:
    """Where MLflow keeps the run: `page` is its address, `command` makes it answer ("" with a server)."""

    uri: str
    experiment: str
    run_id: str
    page: str
    command: str

    @classmethod
    def of(cls, tracker: "Tracker", run_id: str) -> Self:
        """The place of a run."""
        from posterity.tracking.address import fragment

        page = fragment(tracker.prepare(), run_id)
        if tracker.uri.startswith("http"):
            return cls(tracker.uri, tracker.experiment, run_id, f"{tracker.uri.rstrip('/')}/{page}", "")
        # The switch saves two gigabytes: MLflow would start workers for jobs that nobody has.
        ui = f"{beside('mlflow')} ui --backend-store-uri {quote(tracker.uri)}"
        command = f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {ui}"
        return cls(tracker.uri, tracker.experiment, run_id, f"http://127.0.0.1:5000/{page}", command)


def beside(command: str) -> str:
    """How a shell in this folder calls a command of this environment."""
    place = Path(sys.executable).with_name(command)
    if shutil.which(command) == str(place) or not place.exists():
        return command
    here = Path.cwd()
    return quote(str(place.relative_to(here) if place.is_relative_to(here) else place))


@dataclass(frozen=True)
class Outcome:
    """One flow run. `counts` has ok, flagged, failed and unchanged; `seconds` says where the time went,
    `stages` what became of each wave, and `version` which version of the portfolio's model the result is
    (None: it was not registered). `decided` says how many entities are, where the configuration has a rule.
    """

    name: str
    flow_run: str
    entities: int
    counts: Mapping[str, int]
    resumed: int
    methods: Mapping[str, int]
    result: str
    tracked: Tracked
    notices: tuple[str, ...]
    too_many_failed: bool
    seconds: Mapping[str, float]
    stages: tuple["Stage", ...] = ()
    version: int | None = None
    decided: str = ""

    @property
    def exit_code(self) -> int:
        """0: all well; 1: more entities failed than the configuration allows."""
        return 1 if self.too_many_failed else 0

    @property
    def sentence(self) -> str:
        """The counts in words, as the message of the flow run's final state."""
        words = [f"{n:,} {status}" for status, n in self.counts.items() if n]
        return ", ".join(words) or "no entities"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        seconds = {name: round(value, 2) for name, value in self.seconds.items()}
        stages = [{**asdict(stage), "seconds": round(stage.seconds, 2)} for stage in self.stages]
        return {**asdict(self), "exit_code": self.exit_code, "seconds": seconds, "stages": stages}


@dataclass
class Stopwatch:
    """Wall time by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin
