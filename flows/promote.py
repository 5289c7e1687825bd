"""Champion and challenger: compare → tag → move the alias or not. And by hand: approve, roll back.

    python flows/promote.py promote configs/adoption.yaml --data chunk.parquet

Three flows, each a deployment of its own. With `promotion.approval: true` the first one ends with a verdict
that waits; a person reads its table and runs the second one. No flow run is paused for that: a form that is
filled in when somebody has time needs no process that waits.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import flows.defaults  # noqa: F401  Prefect reads its settings when it is imported

# isort: split
from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed
from prefect.utilities.annotations import quote
from pydantic import Field

from flows import artifacts, tasks
from posterity.errors import PanelError, PosterityError

if TYPE_CHECKING:
    from posterity.config import Config
    from posterity.tracking.registry import Move, Registry

type Number = Annotated[int, Field(ge=1)]
type Why = Annotated[str, Field(min_length=10, max_length=2_000)]
type Person = Annotated[str, Field(min_length=2, max_length=200)]


@dataclass(frozen=True)
class Moved:
    """What a flow run did: to which version, and who is champion now."""

    name: str
    version: int
    happened: str
    reason: str
    champion: int | None
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def run_name() -> str:
    """The flow and its portfolio: `promote adoption`."""
    return f"{runtime.flow_run.flow_name} {Path(str(runtime.flow_run.parameters['config'])).stem}"


@flow(name="promote", flow_run_name=run_name)
def promote(config: str, data: str | None = None, version: Number | None = None) -> Any:
    """Compare the challenger with the champion on rows that neither has seen; the gates of the configuration
    decide.

    The run's table artifact holds every gate with its number. With `promotion.approval` the alias waits for
    the deployment `approve`.

    Args:
        config: Path of the portfolio's YAML file.
        data: Rows to compare on, those already seen are left out; the configured panel if empty.
        version: Version to promote; the one with the alias challenger if empty.
    """
    return run(config, "compare with the champion", lambda c, registry: compare(c, registry, data, version))


@flow(name="approve", flow_run_name=run_name)
def approve(
    config: str, version: Number, decision: Literal["approve", "reject"], reason: Why, reviewer: Person
) -> Any:
    """Say the last word on a challenger whose verdict is waiting. Read its table artifact first.

    Args:
        config: Path of the portfolio's YAML file.
        version: The version that waits; its number is in the table artifact of the promote run.
        decision: approve makes it the champion, reject leaves the champion where it is.
        reason: Why, in at least ten characters; it becomes a tag of the version.
        reviewer: Who decides.
    """
    from posterity.tracking.registry import approve as decided

    return run(
        config,
        f"{decision} version {version}",
        lambda c, registry: decided(registry, c.name, version, decision, reason=reason, reviewer=reviewer),
    )


@flow(name="rollback", flow_run_name=run_name)
def rollback(config: str, reason: Why, version: Number | None = None, leaving: Number | None = None) -> Any:
    """Give the alias champion back to the version that had it before.

    Args:
        config: Path of the portfolio's YAML file.
        reason: Why, in at least ten characters; it becomes a tag of the version that is left.
        version: A version that once was champion; the one before the champion if empty.
        leaving: The version that is to be champion no more, so that a second run does not go back once more.
    """
    from posterity.tracking.registry import rollback as back

    return run(
        config,
        "roll back",
        lambda c, registry: back(registry, c.name, version, reason=reason, leaving=leaving),
    )


def compare(settings: "Config", registry: "Registry", data: str | None, version: int | None) -> "Move":
    """The gates on unseen rows, and what follows from them."""
    from posterity.tracking.registry import promote

    rows = data or settings.data.source
    if rows is None:
        raise PanelError(["no rows to compare on: give `data`, or data.source in the configuration"])
    return promote(registry, settings.name, rows, settings.promotion, version=version)


@task(name="decide", task_run_name="{what}", cache_policy=NO_CACHE)
def decide(what: str, act: Callable[[], "Move"]) -> "Move | Any":
    """Ask the registry for something; what cannot be done is a state, not a traceback."""
    try:
        return act()
    except PosterityError as error:
        return Failed(message=str(error), data=error)


def run(path: str, what: str, act: Callable[["Config", "Registry"], "Move"]) -> Any:
    """A move to the final state of its flow run, with its pages."""
    from posterity.tracking.registry import connect_registry

    def moved() -> "Move":
        settings = tasks.configured(path)
        return act(settings, connect_registry(settings.tracking.uri))

    state = decide(what, quote(moved), return_state=True)
    if not state.is_completed():
        error = state.result(raise_on_failure=False)
        return Failed(message=str(error), data=error)
    move: Move = state.result()
    pages(move)
    data = Moved(
        name=move.version.name,
        version=move.version.number,
        happened=move.happened,
        reason=move.reason,
        champion=move.champion,
        sentence=move.sentence,
    )
    return Completed(message=move.sentence, data=data)


def pages(move: "Move") -> None:
    """A table of the gates, one of the entities where the challenger is worst, and the outcome in words."""
    name = move.version.name
    text = f"**{move.version}**: {move.happened}. {move.reason}"
    if move.happened == "waiting":
        text += f"\n\nTo decide, run the deployment `approve` with version {move.version.number}."
    create_markdown_artifact(text, key=artifacts.key(name, "promotion"), description=move.sentence)
    if move.verdict is None:
        return
    rows = [{k: artifacts.cell(v) for k, v in row.items()} for row in move.verdict.table()]
    create_table_artifact(rows, key=artifacts.key(name, "gates"), description=text)
    worst = [
        {str(k): artifacts.cell(v) for k, v in row.items()}
        for row in move.verdict.worst.to_dict(orient="records")
    ]
    if worst:
        said = f"{move.version}: the entities where it does worst, by CRPS over {move.verdict.rows:,} rows"
        create_table_artifact(worst, key=artifacts.key(name, "worst"), description=said)


if __name__ == "__main__":
    from flows.promote_terminal import main

    sys.exit(main())
