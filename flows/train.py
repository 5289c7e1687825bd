"""Fit a portfolio: plan → waves of shards over a pool → merge → track → register → artifacts.

    python flows/train.py configs/adoption.yaml

runs it here, on Prefect's temporary server unless PREFECT_API_URL or a profile names one. The same flow is
what `prefect.yaml` deploys and `flows/serve.py` serves.
"""

import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import flows.defaults  # noqa: F401  Prefect reads its settings when it is imported

# isort: split
from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.states import Completed, Failed
from prefect.utilities.annotations import quote
from pydantic import Field

from flows import artifacts, server, tasks
from flows.outcome import Outcome, Stopwatch
from posterity.cli.progress import progress
from posterity.errors import PosterityError

if TYPE_CHECKING:
    from posterity.portfolio.execute import Executed
    from posterity.portfolio.plan import Plan
    from posterity.portfolio.shard import Report

type Method = Literal["auto", "laplace", "nuts"]


def started_name() -> str:
    """The flow run's name until the plan says how many entities there are."""
    return f"{Path(str(runtime.flow_run.parameters['config'])).stem} {datetime.now():%Y-%m-%d %H:%M}"


@flow(name="train", flow_run_name=started_name)
def train(
    config: str,
    data: str | None = None,
    method: Method | None = None,
    entities: list[str] | None = None,
    workers: Annotated[int, Field(ge=1)] | None = None,
    out: str | None = None,
) -> Any:
    """Fit every entity of a panel, publish the result and track it in MLflow.

    What is there already is not fitted again. The run ends Failed where more entities failed than
    `execution.max_failed` allows, and where configuration or panel cannot be used.

    Args:
        config: Path of the portfolio's YAML file.
        data: Panel to fit instead of the one that the configuration names.
        method: Method to use instead of the configured one.
        entities: Names of the only entities to fit, such as P01 / north; all if empty.
        workers: How many processes fit at once; as configured if empty.
        out: Folder of the result; runs/NAME/KEY if empty.
    """
    watch = Stopwatch()
    with watch.stage("plan"):
        state = tasks.plan(config, data, method, entities, return_state=True)
    if not state.is_completed():
        return state
    try:
        # Some of the entities are no portfolio: a version would lose the others.
        outcome = run(state.result(), workers, out, watch, register=not entities)
    except PosterityError as error:
        return Failed(message=str(error), data=error)
    if outcome.too_many_failed:
        return Failed(message=f"too many entities failed: {outcome.sentence}", data=outcome)
    return Completed(message=outcome.sentence, data=outcome)


def run(
    plan: "Plan", workers: int | None, out: str | None, watch: Stopwatch, *, register: bool = True
) -> Outcome:
    """A plan to its tracked and, unless too many entities failed, registered result.

    Raises PosterityError; what was fitted until then stays in its folder.
    """
    from posterity.portfolio.actionable import counted
    from posterity.portfolio.portfolio import Run, claimed, result_folder

    call_flow_run(f"{plan.config.name} {datetime.now():%Y-%m-%d %H:%M} {len(plan.panel.entities):,} entities")
    folder = result_folder(plan, out)
    with claimed(plan, folder) as there:
        if there is not None:
            ran = Run(there, None)
        else:
            with watch.stage("fit"):
                executed = fit(plan, folder, workers)
            with watch.stage("merge"):
                result = tasks.merge(whole(plan), folder, watch.seconds["fit"])
            ran = Run(result, executed)
    with watch.stage("track"):
        tracked = tasks.track(
            whole(ran.result),
            plan.config.data.source,
            tags(),
            count(plan, workers),
            known=ran.executed is None,
        )
    version = None
    if register and plan.config.promotion.register_versions and not ran.too_many_failed:
        with watch.stage("register"):
            version = tasks.register(whole(ran.result), tracked.run_id)
    marks = counted(ran.result)
    with watch.stage("artifacts"):
        outcome = Outcome(
            name=plan.config.name,
            flow_run=str(runtime.flow_run.id),
            entities=len(plan.panel.entities),
            counts=ran.counts,
            resumed=ran.executed.resumed if ran.executed else 0,
            methods={str(k): int(v) for k, v in ran.result.entities["method"].value_counts().items()},
            result=str(folder),
            tracked=tracked,
            notices=plan.panel.notices,
            too_many_failed=ran.too_many_failed,
            seconds=watch.seconds,
            stages=ran.executed.stages if ran.executed else (),
            version=version,
            decided="" if marks is None else marks.sentence,
        )
        artifacts.table(outcome, ran.result)
        artifacts.tracking(outcome.name, tracked)
    return outcome


def fit(plan: "Plan", folder: Path, workers: int | None) -> "Executed":
    """Waves of shards mapped over a pool until every entity has its outcome."""
    from flows.runners import PrefectRunner
    from posterity.portfolio.execute import execute

    pool = count(plan, workers)
    page = artifacts.Progress(plan.config.name, len(plan.fittable))
    with server.named(), progress(len(plan.fittable)) as bar:

        def listen(report: "Report") -> None:
            bar(report)
            page(report)

        runner = PrefectRunner(plan.config.execution.runner, pool)
        with closing(runner):
            return execute(plan, folder, runner, pool, listen)


def count(plan: "Plan", workers: int | None) -> int:
    """Workers of every pool of a run."""
    from posterity.portfolio.portfolio import worker_count

    return max(1, worker_count(plan, workers))


def tags() -> dict[str, str]:
    """What leads from MLflow's run back to the flow run."""
    found = {"prefect.flow_run_id": runtime.flow_run.id, "prefect.flow_run_url": runtime.flow_run.ui_url}
    return {name: str(value) for name, value in found.items() if value}


def whole[T](value: T) -> T:
    """A parameter as it is: Prefect would walk through all of it in search of futures."""
    return quote(value)  # type: ignore[return-value]


def call_flow_run(name: str) -> None:
    """Give the flow run a name that says what it fits."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(runtime.flow_run.id, name=name)


if __name__ == "__main__":
    from flows.terminal import main

    sys.exit(main())
