"""Take new rows into a portfolio: find its result → updates, a version a chunk → track → register.

    python flows/refit.py --config configs/adoption.yaml

refits the newest result of that portfolio with whatever its panel holds by now, on Prefect's temporary server
unless PREFECT_API_URL or a profile names one. A refit that was stopped goes on where it was.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import flows.defaults  # noqa: F401  Prefect reads its settings when it is imported

# isort: split
from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed
from pydantic import Field

from flows import artifacts, refit_pages, server, tasks
from flows.outcome import Stopwatch, Tracked
from flows.train import call_flow_run, tags, whole
from posterity.cli.progress import progress
from posterity.errors import ConfigError, PanelError, PosterityError

if TYPE_CHECKING:
    from posterity.config import Config
    from posterity.portfolio.account import Account
    from posterity.portfolio.refit.run import Refitted
    from posterity.portfolio.result import Result
    from posterity.portfolio.runners import Item, Runner, WorkerDied
    from posterity.portfolio.shard import Report

type Mode = Literal["exact", "carry", "reweight"]

LATEST = "latest"


@dataclass(frozen=True)
class Outcome:
    """One flow run: what the delivery did, where the new version is, and where MLflow keeps every version it
    made (none where there was nothing new). `registered` is its number in the registry.
    """

    name: str
    flow_run: str
    result: str
    account: "Account"
    counts: Mapping[str, int]
    tracked: tuple[Tracked, ...]
    registered: int | None
    too_many_failed: bool
    seconds: Mapping[str, float]

    @property
    def exit_code(self) -> int:
        """0: all well; 1: more entities failed than the configuration allows."""
        return int(self.too_many_failed)

    @property
    def sentence(self) -> str:
        """What happened in words, as the message of the flow run's final state."""
        return self.account.sentence

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        seconds = {name: round(value, 2) for name, value in self.seconds.items()}
        return {**asdict(self), "exit_code": self.exit_code, "seconds": seconds}


def started_name() -> str:
    """The flow run's name until the result says which version it is."""
    return f"refit {datetime.now():%Y-%m-%d %H:%M}"


@flow(name="refit", flow_run_name=started_name)
def refit(
    result: str = LATEST,
    data: str | None = None,
    mode: Mode | None = None,
    config: str | None = None,
    workers: Annotated[int, Field(ge=1)] | None = None,
    out: str | None = None,
) -> Any:
    """Take the rows of a delivery that are not inside yet into the posteriors, and track every version made.

    Args:
        result: What to build on: latest (the newest result of the configuration's portfolio under runs/), a
            folder, runs:/RUN_ID of MLflow, or models:/NAME@ALIAS.
        data: The delivery, new rows alone or the whole panel again; the configured panel if empty.
        mode: exact, carry or reweight instead of the configured one.
        config: Path of the YAML file that takes the place of the result's configuration; needed for latest.
        workers: How many processes fit at once; as configured if empty.
        out: Folder of the new version; runs/NAME/KEY if empty.
    """
    watch = Stopwatch()
    with watch.stage("find"):
        state = base(result, config, mode, return_state=True)
    if not state.is_completed():
        return state
    try:
        before, settings = state.result()
        outcome = run(before, settings, data, workers, out, watch)
    except PosterityError as error:
        return Failed(message=str(error), data=error)
    if outcome.too_many_failed:
        return Failed(message=f"too many entities failed: {outcome.sentence}", data=outcome)
    return Completed(message=outcome.sentence, data=outcome)


@task(name="find", task_run_name="find {result}", cache_policy=NO_CACHE)
def base(result: str, config: str | None, mode: Mode | None) -> "tuple[Result, Config] | Any":
    """The result to build on and the configuration in force. Bad input is a state, not a traceback."""
    try:
        return found(result, config, mode)
    except PosterityError as error:
        return Failed(message=str(error), data=error)


def found(result: str, config: str | None, mode: Mode | None) -> "tuple[Result, Config]":
    """Open what is to be refitted. Raises ConfigError, ResultError and TrackingError."""
    from posterity.config import with_overrides
    from posterity.tracking.results import find

    settings = None if config is None else tasks.configured(config)
    if result == LATEST and settings is None:
        raise ConfigError(["result: latest is the newest of a portfolio; name that by its `config`"])
    opened = find(
        result,
        uri=None if settings is None else settings.tracking.uri,
        name=None if settings is None else settings.name,
    )
    chosen = settings or opened.config
    return opened, chosen if mode is None else with_overrides(chosen, {"refit.mode": mode})


def run(
    before: "Result",
    settings: "Config",
    data: str | None,
    workers: int | None,
    out: str | None,
    watch: Stopwatch,
) -> Outcome:
    """A delivery to its tracked versions. Raises PosterityError; what was fitted until then stays."""
    from posterity.portfolio.account import account

    delivery = data or settings.data.source
    if delivery is None:
        raise PanelError(["no rows to take in: give `data`, or data.source in the configuration"])
    call_flow_run(f"{settings.name} {datetime.now():%Y-%m-%d %H:%M} on version {before.version}")
    pool = size(settings, workers)
    with watch.stage("refit"):
        done = update(before, settings, delivery, pool, out)
    told = account(before, done)
    with watch.stage("track"):
        tracked = record(done, told, delivery, pool)
    number = None
    if tracked and settings.promotion.register_versions and not done.too_many_failed:
        with watch.stage("register"):
            number = tasks.register(whole(done.result), tracked[-1].run_id)
    with watch.stage("artifacts"):
        outcome = Outcome(
            name=settings.name,
            flow_run=str(runtime.flow_run.id),
            result=str(done.result.path),
            account=told,
            counts=dict(done.result.counts),
            tracked=tracked,
            registered=number,
            too_many_failed=done.too_many_failed,
            seconds=watch.seconds,
        )
        refit_pages.table(settings.name, told, done.result)
        refit_pages.notices(settings.name, told)
        if tracked:
            artifacts.tracking(settings.name, tracked[-1])
    return outcome


def update(before: "Result", settings: "Config", data: str, pool: int, out: str | None) -> "Refitted":
    """Updates mapped over a pool, a version for every chunk."""
    from flows.runners import PrefectRunner
    from posterity.portfolio.refit.run import refit as take_in

    with server.named(), progress(None, what="updating") as bar:
        counted = Counted(settings.name, PrefectRunner(settings.execution.runner, pool), bar)
        with closing(counted):
            return take_in(
                before, data, config=settings, out=out, workers=pool, runner=counted, listen=counted.listen
            )


def record(done: "Refitted", told: "Account", data: str, pool: int) -> tuple[Tracked, ...]:
    """Every version that changed something, in order: each links to the run of the one before."""
    from posterity.portfolio.past import added
    from posterity.portfolio.result import open_result

    versions = [open_result(folder) for folder in done.versions]
    changed = [v for v in versions if len(added(v)) or told.left_out]
    return tuple(tasks.track(whole(v), data, tags(), pool, known=True) for v in changed)


def size(settings: "Config", workers: int | None) -> int:
    """Workers of the pool."""
    from posterity.portfolio.runners import cores

    configured = settings.execution.workers
    return max(1, workers or (cores() if configured == "auto" else configured))


@dataclass
class Counted:
    """A runner that knows how many entities it was given, for the progress artifact."""

    name: str
    runner: "Runner"
    bar: "Callable[[Report], None]"
    page: artifacts.Progress | None = None

    def run[I: Item, R](
        self, function: "Callable[[I], R]", items: "Sequence[I]"
    ) -> "Iterator[tuple[I, R | WorkerDied]]":
        """See `Runner`."""
        given = sum(len(getattr(item, "work", ())) for item in items)
        if given and self.page is None:
            self.page = artifacts.Progress(self.name, given)
        elif self.page is not None:
            self.page.total += given
        return self.runner.run(function, items)

    def listen(self, report: "Report") -> None:
        """A shard has ended."""
        self.bar(report)
        if self.page is not None:
            self.page(report)

    def close(self) -> None:
        """See `Runner`."""
        self.runner.close()


if __name__ == "__main__":
    from flows.refit_terminal import main

    sys.exit(main())
