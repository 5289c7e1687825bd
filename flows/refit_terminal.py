"""`python flows/refit.py`: arguments, the summary at the end, exit codes 0, 1 and 2."""

from collections.abc import Mapping
from json import dumps
from shlex import quote
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from flows import refit as flow_file
from flows.outcome import beside
from flows.script import run, script, show_facts, value_of
from flows.server import TemporaryServer
from flows.terminal import age, check_installed
from posterity.cli.refits import summary

app = script(
    "refit",
    "Take new rows into a portfolio with Prefect and MLflow. Rows inside already are not counted again.",
)


def main() -> int:
    """Run the command line; the exit code."""
    return run(app)


@app.default
def refit(
    result: Annotated[
        str, Parameter(help="latest, a folder, runs:/RUN_ID, or models:/NAME@ALIAS.")
    ] = flow_file.LATEST,
    *,
    data: Annotated[str | None, Parameter(help="The delivery; default: the configured panel.")] = None,
    mode: Annotated[flow_file.Mode | None, Parameter(help="Instead of the configured one.")] = None,
    config: Annotated[str | None, Parameter(help="The portfolio's YAML file; needed for latest.")] = None,
    workers: Annotated[int | None, Parameter(help="Processes; default: as configured.")] = None,
    out: Annotated[str | None, Parameter(help="Folder of the new version; default: runs/NAME/KEY.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object as the last line.")] = False,
) -> int:
    """Refit a portfolio and track its versions."""
    # What is wrong is told at once, not by a flow run; looking takes no longer than the server's start.
    server = TemporaryServer()
    _, settings = flow_file.found(result, config, mode)
    check_installed(settings.execution.runner)
    server.wait()
    ready = age()
    state: Any = flow_file.refit(
        result, data=data, mode=mode, config=config, workers=workers, out=out, return_state=True
    )
    value = value_of(state)
    seconds = {"start": ready, **value.seconds, "total": age()}
    show(value, seconds, Console())
    if json:
        print(dumps({**value.to_dict(), "seconds": {k: round(v, 2) for k, v in seconds.items()}}))
    return int(value.exit_code)


def show(outcome: flow_file.Outcome, seconds: Mapping[str, float], console: Console) -> None:
    """What the delivery did, and what to do next."""
    console.print()
    summary(outcome.name, outcome.account, outcome.counts)
    spent = ", ".join(f"{n} {s:.0f} s" for n, s in seconds.items() if n != "total" and s >= 0.5)
    last = outcome.tracked[-1] if outcome.tracked else None
    facts = {
        "time": spent,
        "result": outcome.result,
        "MLflow": (last.command or last.page) if last else "",
        "": f"then open {last.page}" if last and last.command else "",
        "version": f"{outcome.registered} in the registry" if outcome.registered else "",
        "next": f"{beside('posterity')} show {quote(outcome.result)}",
    }
    show_facts(facts, console)
    if outcome.too_many_failed:
        console.print("\n[red]More entities failed than execution.max_failed allows[/]; `next` shows why.")
