"""`python flows/train.py`: arguments, the table at the end, exit codes 0, 1 and 2."""

import time
from collections.abc import Mapping
from importlib.util import find_spec
from json import dumps
from shlex import quote
from typing import Annotated, Any

import psutil
from cyclopts import Parameter
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows import train as flow_file
from flows.outcome import Outcome, beside
from flows.script import run, script, show_facts, value_of
from flows.server import TemporaryServer
from flows.tasks import configured
from posterity.config import Config
from posterity.errors import ConfigError

app = script("train", "Fit a portfolio with Prefect and MLflow. What is there already is not fitted again.")


def main() -> int:
    """Run the command line; the exit code."""
    return run(app)


@app.default
def train(
    config: Annotated[str, Parameter(help="The portfolio's YAML file.")],
    *,
    data: Annotated[str | None, Parameter(help="Panel to fit instead of the configured one.")] = None,
    out: Annotated[str | None, Parameter(help="Result folder; default: runs/NAME/KEY.")] = None,
    workers: Annotated[int | None, Parameter(help="Processes; default: as configured.")] = None,
    method: Annotated[flow_file.Method | None, Parameter(help="Instead of the configured one.")] = None,
    entities: Annotated[str | None, Parameter(help='Only these, separated by ",".')] = None,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object as the last line.")] = False,
) -> int:
    """Fit a portfolio and track it."""
    # What is wrong is told at once, not by a flow run; reading takes no longer than the server's start.
    settings = configured(config, data=data, method=method)
    server = TemporaryServer()
    check(settings)
    server.wait()
    ready = age()
    state: Any = flow_file.train(
        config,
        data=data,
        method=method,
        entities=[name.strip() for name in entities.split(",")] if entities else None,
        workers=workers,
        out=out,
        return_state=True,
    )
    value = value_of(state)
    seconds = {"start": ready, **value.seconds, "total": age()}
    show(value, seconds, Console())
    if json:
        print(dumps({**value.to_dict(), "seconds": {k: round(v, 2) for k, v in seconds.items()}}))
    return int(value.exit_code)


def check(config: Config) -> None:
    """Raise for what would end the flow before it fits anything."""
    from posterity.portfolio.plan import read_panel
    from posterity.tracking.address import resolve

    check_installed(config.execution.runner)
    resolve(config.tracking.uri)
    read_panel(config)


def check_installed(kind: str) -> None:
    """ConfigError where the configured runner needs an extra that is not there."""
    if kind in ("dask", "ray") and find_spec(f"prefect_{kind}") is None:
        raise ConfigError(
            [f"execution.runner: {kind} is not installed; run `make setup EXTRAS={kind}`, or use processes"]
        )


def age() -> float:
    """Seconds since this process began, imports included."""
    return time.time() - float(psutil.Process().create_time())


def show(outcome: Outcome, seconds: Mapping[str, float], console: Console) -> None:
    """The table at the end, and what to do next."""
    colours = {"ok": "green", "flagged": "yellow", "failed": "red", "unchanged": "cyan"}
    table = Table(
        title=outcome.name, box=box.SIMPLE_HEAD, title_style="bold", title_justify="left", show_edge=False
    )
    table.add_column("entities", justify="right")
    for status in outcome.counts:
        table.add_column(status, justify="right")
    table.add_column("wall time", justify="right")
    if len(outcome.stages) > 1:
        table.add_column("wave")
        for stage in outcome.stages:
            shares = [_count(stage.status.get(s, 0), colours[s]) for s in outcome.counts]
            table.add_row(f"{stage.entities:,}", *shares, f"{stage.seconds:.0f} s", stage.name)
        table.add_section()
    cells = [_count(n, colours.get(s, "")) for s, n in outcome.counts.items()]
    table.add_row(f"{outcome.entities:,}", *cells, f"{seconds['total']:.0f} s")
    console.print()
    console.print(table)
    console.print()
    spent = ", ".join(
        f"{name} {value:.0f} s" for name, value in seconds.items() if name != "total" and value >= 0.5
    )
    facts = {
        "methods": ", ".join(f"{name} {n:,}" for name, n in outcome.methods.items()),
        "decided": outcome.decided,
        "time": spent,
        "result": outcome.result,
        "MLflow": outcome.tracked.command or outcome.tracked.page,
        "": f"then open {outcome.tracked.page}" if outcome.tracked.command else "",
        "version": f"{outcome.version} in the registry (docs/promotion.md)" if outcome.version else "",
        "next": f"{beside('posterity')} show {quote(outcome.result)}",
    }
    if outcome.resumed:
        facts = {"resumed": f"{outcome.resumed:,} entities were there from a run that was stopped", **facts}
    for notice in outcome.notices[1:]:
        console.print(f"[yellow]note[/]     {escape(notice)}", soft_wrap=True, highlight=False)
    show_facts(facts, console)
    if outcome.too_many_failed:
        console.print("\n[red]More entities failed than execution.max_failed allows[/]; `next` shows why.")


def _count(number: int, colour: str) -> str:
    return f"[{colour}]{number:,}[/]" if number and colour else f"{number:,}"
