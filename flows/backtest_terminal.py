"""`python flows/backtest.py`: arguments, the table at the end, exit codes 0 and 2."""

from json import dumps
from typing import Annotated, Any

from cyclopts import Parameter

from flows import backtest as flow_file
from flows.script import run, script, value_of
from flows.server import TemporaryServer
from flows.terminal import age, check_installed
from posterity.config import load

app = script("backtest", "Forecast from the past as it was at many instants, and score what came.")


def main() -> int:
    """Run the command line; the exit code."""
    return run(app)


@app.default
def backtest(
    *configs: Annotated[str, Parameter(help="The YAML files that compete.")],
    horizon: Annotated[int, Parameter(help="Steps ahead.")] = 4,
    data: Annotated[str | None, Parameter(help="Panel instead of the configured one.")] = None,
    origins: Annotated[int, Parameter(help="How many of the last origins.")] = 20,
    every: Annotated[int, Parameter(help="Refit at every so many origins.")] = 1,
    start: Annotated[str | None, Parameter(help="The first origin.")] = None,
    step: Annotated[str | None, Parameter(help="Length of a step: 7, 1W, 3M.")] = None,
    clock: Annotated[str | None, Parameter(help="Column with real times.")] = None,
    season: Annotated[int | None, Parameter(help="Steps of a season.")] = None,
    workers: Annotated[int | None, Parameter(help="Processes; default: as configured.")] = None,
    out: Annotated[str | None, Parameter(help="Folder; default: runs/backtests/KEY.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object as the last line.")] = False,
) -> int:
    """Backtest configurations side by side and track the comparison."""
    for path in configs:
        check_installed(load(path).execution.runner)
    # What is wrong is told at once, not by a flow run.
    from posterity.portfolio.backtest import design

    asked: dict[str, Any] = {
        "horizon": horizon,
        "origins": origins,
        "every": every,
        "clock": clock,
        "season": season,
    }
    design(list(configs), data, **asked, start=start, step=flow_file.number(step))
    server = TemporaryServer()
    server.wait()
    state: Any = flow_file.backtest(
        list(configs),
        horizon=horizon,
        data=data,
        origins=origins,
        every=every,
        start=start,
        step=step,
        clock=clock,
        season=season,
        workers=workers,
        out=out,
        return_state=True,
    )
    value = value_of(state)
    from posterity.portfolio.backtest import Backtest

    print(f"\n{Backtest.load(value.result)}\n\nresult   {value.result}")
    print(f"MLflow   {value.tracked.command or value.tracked.page}")
    if json:
        print(dumps({**value.to_dict(), "seconds": {**value.to_dict()["seconds"], "total": round(age(), 2)}}))
    return int(value.exit_code)
