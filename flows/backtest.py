"""Backtest configurations: plan → fits of all origins over a pool → scores → track → artifacts.

    python flows/backtest.py configs/adoption.yaml --horizon 4

runs it here, on Prefect's temporary server unless PREFECT_API_URL or a profile names one. A backtest that was
run before is found and not run again; one that was stopped goes on where it was.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import flows.defaults  # noqa: F401  Prefect reads its settings when it is imported

# isort: split
from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed
from pydantic import Field

from flows import artifacts, server
from flows.outcome import Stopwatch, Tracked
from flows.train import call_flow_run, tags, whole
from posterity.errors import PosterityError

if TYPE_CHECKING:
    from posterity.portfolio.backtest import Backtest, Design

type Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Backtested:
    """One flow run: where the backtest is, who did best by CRPS, and the seconds by stage."""

    name: str
    flow_run: str
    result: str
    best: str
    rows: int
    tracked: Tracked
    seconds: dict[str, float]
    exit_code: int = 0

    @property
    def sentence(self) -> str:
        """The outcome in words, as the message of the flow run's final state."""
        return f"{self.best} has the smallest CRPS of {self.rows:,} rows that all forecast"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "seconds": {k: round(v, 2) for k, v in self.seconds.items()}}


def started_name() -> str:
    """The flow run's name until the plan says what competes."""
    return f"backtest {datetime.now():%Y-%m-%d %H:%M}"


@flow(name="backtest", flow_run_name=started_name)
def backtest(
    configs: list[str],
    horizon: Positive = 4,
    data: str | None = None,
    origins: Positive = 20,
    every: Positive = 1,
    start: str | None = None,
    step: str | None = None,
    clock: str | None = None,
    season: Positive | None = None,
    workers: Positive | None = None,
    out: str | None = None,
) -> Any:
    """Forecast from the past as it was at many instants, score what came, and track the comparison in MLflow.

    Args:
        configs: Paths of the YAML files that compete; baselines are added.
        horizon: How many steps ahead are forecast.
        data: Panel instead of the one that each configuration names.
        origins: How many of the last origins that leave a whole horizon.
        every: Refit at every so many origins.
        start: The first origin, a number or a date; then origins is at most so many.
        step: Length of a step, a number (days for dates) or a span such as 1W; the panel's spacing if empty.
        clock: Column with real times, where the model's time counts from each entity's start.
        season: Steps of a season, for the seasonal naive baseline.
        workers: How many processes fit at once; as configured if empty.
        out: Folder of the backtest; runs/backtests/KEY if empty.
    """
    watch = Stopwatch()
    options = {"horizon": horizon, "origins": origins, "every": every, "clock": clock, "season": season}
    with watch.stage("plan"):
        state = plan(configs, data, {**options, "start": start, "step": number(step)}, return_state=True)
    if not state.is_completed():
        return Failed(message=state.message, data=state.result(raise_on_failure=False))
    try:
        outcome = run(state.result(), workers, out, watch)
    except PosterityError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=outcome.sentence, data=outcome)


def run(made: "Design", workers: int | None, out: str | None, watch: Stopwatch) -> Backtested:
    """A design to its tracked backtest. Raises PosterityError; what was fitted stays in its folder."""
    from flows.runners import PrefectRunner
    from posterity.portfolio.backtest import run as run_design
    from posterity.portfolio.backtest.rolling import worker_count

    call_flow_run(f"backtest {made.name} {datetime.now():%Y-%m-%d %H:%M} {len(made.origins)} origins")
    pool = max(1, worker_count(made, workers))
    kind = made.entrants[0].config.execution.runner
    with server.named(), closing(PrefectRunner(kind, pool)) as runner:
        found = run_design(made, runner, pool, out=out, stage=watch.stage)
    with watch.stage("track"):
        settings = made.entrants[0].config.tracking
        tracked = track(whole(found), settings.uri, settings.experiment, tags())
    with watch.stage("artifacts"):
        pages(found, tracked)
    table = found.summary().sort_values("crps").to_dict("list")
    return Backtested(
        name=made.name,
        flow_run=str(runtime.flow_run.id),
        result=str(found.path),
        best=str(next(iter(table["configuration"]), "nobody")),
        rows=int(next(iter(table["rows"]), 0)),
        tracked=tracked,
        seconds=watch.seconds,
    )


@task(name="plan", task_run_name="plan backtest", cache_policy=NO_CACHE)
def plan(paths: Sequence[str], data: str | None, options: dict[str, Any]) -> "Design | Any":
    """Read and check all input. Bad input is a state, not a traceback."""
    from posterity.portfolio.backtest import design

    try:
        return design(list(paths), data, **options)
    except PosterityError as error:
        return Failed(message=str(error), data=error)


@task(name="track", task_run_name="track in MLflow", cache_policy=NO_CACHE)
def track(found: "Backtest", uri: str | None, experiment: str | None, tags: dict[str, str]) -> Tracked:
    """Record a backtest in MLflow, or find the run that did."""
    from posterity.tracking import close_abandoned, connect
    from posterity.tracking.backtest import track_backtest

    tracker = connect(uri, experiment or found.configurations[0])
    close_abandoned(tracker=tracker)
    same = [r for r in tracker.find(status="FINISHED") if r.tags.get("run_key") == found.about["key"]]
    run_id = same[0].run_id if same else track_backtest(found, tags=tags, tracker=tracker)
    return Tracked.of(tracker, run_id)


def pages(found: "Backtest", tracked: Tracked) -> None:
    """A table of everybody by steps ahead, a page that puts them side by side, and the way to MLflow."""
    from posterity.tracking.backtest import markdown

    name = "-".join(found.configurations)
    if not found.common.empty:
        table = found.summary(["configuration", "horizon"])
        rows = [{str(k): artifacts.cell(v) for k, v in row.items()} for row in table.to_dict("records")]
        create_table_artifact(
            rows, key=artifacts.key(name, "backtest"), description=str(found).splitlines()[0]
        )
        text = f"{str(found).splitlines()[0]}\n\n{markdown(found)}\n\nResult: `{found.path}`"
        create_markdown_artifact(text, key=artifacts.key(name, "side-by-side"))
    artifacts.tracking(f"{name}-backtest", tracked)


def number(text: str | None) -> float | str | None:
    """A step that is written as a number, as a number."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    from flows.backtest_terminal import main

    sys.exit(main())
