"""The tasks of the flows: each calls one function of the library.

Prefect's caching is off: finished shards lie in the run's folder as parts, which outlive any server.
What is heavy to import is imported inside tasks, so that a wrong configuration is told within a second.
"""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from flows import workers
from flows.outcome import Tracked
from posterity.config import Config, load, with_overrides
from posterity.errors import PosterityError

if TYPE_CHECKING:
    from posterity.portfolio.plan import Plan
    from posterity.portfolio.result import Result
    from posterity.tracking import Tracker


def configured(path: str, *, data: str | None = None, method: str | None = None) -> Config:
    """The configuration of a file with what a run overrides. Raises ConfigError with every problem."""
    overrides = {"data.source": data, "inference.method": method}
    given = {key: value for key, value in overrides.items() if value is not None}
    config = load(path)
    return with_overrides(config, given) if given else config


@task(name="plan", task_run_name="plan {path}", cache_policy=NO_CACHE)
def plan(path: str, data: str | None, method: str | None, entities: Sequence[str] | None) -> "Plan | Any":
    """Read and check all input, decide what is to be fitted. Bad input is a state, not a traceback."""
    from posterity.portfolio.portfolio import Portfolio

    try:
        portfolio = Portfolio(configured(path, data=data, method=method))
        return portfolio.plan(entities=tuple(entities) if entities else None)
    except PosterityError as error:
        return Failed(message=str(error), data=error)


@task(name="work", task_run_name="{what}", cache_policy=NO_CACHE)
def work(what: str, call: bytes) -> Any:
    """Apply a pickled function to its item, in a worker; `what` is for people: `fit P01 … P08 (12)`."""
    workers.belong_to_parent()
    from posterity.portfolio.runners import one_thread

    function, item = pickle.loads(call)
    return one_thread(function, item)


@task(name="merge", task_run_name="merge parts", cache_policy=NO_CACHE)
def merge(plan: "Plan", folder: Path, seconds: float) -> "Result":
    """Parts into the published result."""
    from posterity.portfolio.portfolio import publish

    return publish(plan, folder, seconds)


@task(name="track", task_run_name="track in MLflow", cache_policy=NO_CACHE)
def track(
    result: "Result", source: str | None, tags: Mapping[str, str], processes: int, known: bool
) -> Tracked:
    """Record a result in MLflow, or find the run that did: looked up where `known` says there may be one."""
    from posterity.tracking import close_abandoned, connect
    from posterity.tracking import track as record

    settings = result.config.tracking
    tracker = connect(settings.uri, settings.experiment or result.name)
    close_abandoned(tracker=tracker)
    if known and (run := recorded(tracker, result)) is not None:
        return Tracked.of(tracker, run)
    done = record(result, source=source, tags=tags, workers=processes, tracker=tracker)
    return Tracked.of(tracker, done.run_id)


@task(name="register", task_run_name="register in MLflow", cache_policy=NO_CACHE)
def register(result: "Result", run_id: str) -> int:
    """Make a tracked result the challenger, a new version unless it is one already; the version's number."""
    from posterity.tracking import connect
    from posterity.tracking.registry import register as record
    from posterity.tracking.registry import registry_of

    settings = result.config.tracking
    tracker = connect(settings.uri, settings.experiment or result.name)
    return record(registry_of(tracker), result, run_id).number


def recorded(tracker: "Tracker", result: "Result") -> str | None:
    """The finished run of this very result, None where it was never recorded or not to the end."""
    finished = tracker.find(status="FINISHED")
    same = [r for r in finished if r.parent is None and r.tags.get("run_key") == result.manifest.run_key]
    return max(same, key=lambda r: r.started).run_id if same else None
