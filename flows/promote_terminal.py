"""`python flows/promote.py promote|approve|rollback`: arguments, the outcome, exit codes 0 and 2."""

from json import dumps
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from flows import promote as flow_file
from flows.script import run, script, value_of
from flows.server import TemporaryServer
from flows.tasks import configured

app = script("promote", "Decide which version of a portfolio is champion.")

type ConfigFile = Annotated[str, Parameter(help="The portfolio's YAML file.")]
type Json = Annotated[bool, Parameter(negative="", help="Print one JSON object as the last line.")]


def main() -> int:
    """Run the command line; the exit code."""
    return run(app)


@app.command
def promote(
    config: ConfigFile,
    *,
    data: Annotated[str | None, Parameter(help="Rows to compare on; default: the configured panel.")] = None,
    version: Annotated[int | None, Parameter(help="Default: the challenger.")] = None,
    json: Json = False,
) -> int:
    """Compare the challenger with the champion on rows that neither has seen."""
    return _run(flow_file.promote, config, json, data=data, version=version)


@app.command
def approve(
    config: ConfigFile,
    version: int,
    decision: Literal["approve", "reject"],
    *,
    reason: Annotated[str, Parameter(help="At least ten characters.")],
    reviewer: Annotated[str, Parameter(help="Who decides.")],
    json: Json = False,
) -> int:
    """Say the last word on a version that waits."""
    return _run(
        flow_file.approve, config, json, version=version, decision=decision, reason=reason, reviewer=reviewer
    )


@app.command
def rollback(
    config: ConfigFile,
    *,
    reason: Annotated[str, Parameter(help="At least ten characters.")],
    version: Annotated[int | None, Parameter(help="Default: the champion before.")] = None,
    leaving: Annotated[int | None, Parameter(help="The version that is to be champion no more.")] = None,
    json: Json = False,
) -> int:
    """Give the alias champion back to the version that had it before."""
    return _run(flow_file.rollback, config, json, version=version, reason=reason, leaving=leaving)


def _run(flow: Any, config: str, json: bool, **arguments: Any) -> int:
    configured(config)
    TemporaryServer().wait()
    state = flow(config, **arguments, return_state=True)
    value = value_of(state)
    table = Table.grid(padding=(0, 2))
    for name, fact in value.to_dict().items():
        if name != "sentence":
            table.add_row(f"[dim]{name}[/]", "none yet" if fact is None else str(fact))
    Console().print(table)
    if json:
        print(dumps(value.to_dict()))
    return 0
