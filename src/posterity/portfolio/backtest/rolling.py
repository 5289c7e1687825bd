"""Rolling-origin backtests: `posterity.backtest`."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from posterity.config import to_yaml
from posterity.errors import ResultError
from posterity.panel import Panel
from posterity.panel.reading import Source
from posterity.portfolio.backtest.design import Configs, Design, design
from posterity.portfolio.backtest.fitting import Hands, fit_all, plans
from posterity.portfolio.backtest.forecasting import scored
from posterity.portfolio.backtest.rivals import scored_rivals
from posterity.portfolio.backtest.steps import written
from posterity.portfolio.backtest.timeline import Timeline
from posterity.portfolio.backtest.value import Backtest, ordered
from posterity.portfolio.claim import alone
from posterity.portfolio.dispatch import Listener
from posterity.portfolio.plan import Plan
from posterity.portfolio.runners import Runner, cores, runner_for
from posterity.portfolio.store import published

WORK = "work"
"""Folder of unfinished work, one below for each configuration."""

OUTSIDE = {"file", "portfolio", "previous"}
"""Kinds of sources of priors that lie outside the panel."""

type Stages = Callable[[str], Any]
"""Gives a context manager for a stage by its name."""


def backtest(
    configs: Configs,
    panel: Panel | Source | None = None,
    *,
    horizon: int,
    every: int = 1,
    origins: int | Sequence[Any] | None = None,
    start: Any | None = None,
    step: float | str | None = None,
    clock: str | None = None,
    names: Sequence[str] | None = None,
    season: int | None = None,
    intervals: Sequence[float] = (0.5, 0.9),
    workers: int | None = None,
    out: str | Path | None = None,
    listen: Listener = lambda _: None,
) -> Backtest:
    """Forecast from the past as it was at many instants, and score what came: rolling origins in real time.

    At every origin t all rows with a time of at most t are known, in every entity, and none else; entities
    that had not started are not there, roles, priors and populations are what they were then. The rows of the
    next `horizon` steps are forecast and scored by `horizon`, 1 to h. Inputs other than the target are taken
    as known for the rows to forecast.

    `configs`: a configuration (value, dictionary, path), several, or a mapping from names to them; `names`
    renames them. `panel`: the rows, else each configuration's own source. `clock`: the column with real times
    where the model's own time counts from each entity's start; default `data.time`. `step`: the length of a
    step, a number (days for dates) or a span such as 1W or 3M; default the panel's own spacing. `origins`:
    how many of the last origins that leave a whole horizon (default 20), or the times themselves; `start`:
    the first. `every`: refit at every so many origins; between them the last posterior forecasts further
    ahead, and models whose errors depend on the row before still go from the last row known at the origin.

    Baselines stand beside the configurations: `naive` (the last value), `drift` (the last value and past
    changes), and with `season` (in steps) `seasonal naive`; see `posterity.portfolio.backtest.baselines`.

    `out` defaults to `runs/backtests/<key>`, the key being a digest of everything that decides the scores:
    the same backtest is found and not run again, and one that was killed goes on where it was. `workers`
    processes share the work (0: this process), `listen` gets a report a shard of fits.

    Raises ConfigError, PanelError or ModelError before anything is written, ResultError where `out` holds
    something else.
    """
    made = design(
        configs,
        panel,
        horizon=horizon,
        every=every,
        origins=origins,
        start=start,
        step=step,
        clock=clock,
        names=names,
        season=season,
        intervals=intervals,
    )
    count = worker_count(made, workers)
    runner = runner_for(count)
    try:
        return run(made, runner, count, out=out, listen=listen)
    finally:
        runner.close()


def worker_count(made: Design, workers: int | None) -> int:
    """How many processes a backtest uses: as asked, else as the first configuration says, else one a core."""
    configured = made.entrants[0].config.execution.workers
    return workers if workers is not None else cores() if configured == "auto" else configured


def run(
    made: Design,
    runner: Runner,
    workers: int,
    *,
    out: str | Path | None = None,
    listen: Listener = lambda _: None,
    stage: Stages | None = None,
) -> Backtest:
    """Run a design over a runner and publish, unless it was run before."""
    folder = made.folder(out)
    if (there := _finished(made, folder)) is not None:
        return there
    seconds: dict[str, float] = {}
    with alone(folder):
        if (there := _finished(made, folder)) is not None:
            return there
        hands = Hands(runner, max(1, workers), listen)
        tables: dict[str, pd.DataFrame] = {}
        fits: dict[str, int] = {}
        lead: Mapping[Any, Plan] = {}
        warnings: list[str] = []
        for entrant in made.entrants:
            place = folder / WORK / entrant.key[:12]
            with _timed("plan", seconds, stage):
                planned = plans(made, entrant)
                lead = lead or planned
            warnings += _outside(entrant.name, planned.values())
            with _timed("fit", seconds, stage):
                fits[entrant.name] = fit_all(planned, place, hands)
            with _timed("score", seconds, stage):
                found = scored(made, entrant, planned, place, hands)
                tables[entrant.name] = told(made, entrant.timeline, planned, found)
        with _timed("baselines", seconds, stage):
            for rule, found in scored_rivals(made).items():
                tables[rule] = told(made, made.lead, lead, found)
        whole = [table.assign(configuration=name) for name, table in tables.items() if len(table)]
        if not whole:
            raise ResultError("nothing could be forecast: no entity has a posterior and rows after an origin")
        scores = ordered(pd.concat(whole, ignore_index=True), made.names)
        first = ["configuration", *(name for name in scores.columns if name != "configuration")]
        about = _about(made, tables, fits, seconds) | {"warnings": warnings}
        result = Backtest(scores[first], about).save(folder)
        shutil.rmtree(folder / WORK, ignore_errors=True)
        return result


def told(made: Design, timeline: Timeline, planned: Mapping[Any, Plan], found: pd.DataFrame) -> pd.DataFrame:
    """Scores with what they are about, by origin and row instead of their numbers, sorted by origin."""
    if not len(found):
        return pd.DataFrame()
    found = found.sort_values(["origin", "place"], kind="stable")
    panel = timeline.panel
    tables = []
    fitted = {origin: fit for fit, used in made.fits() for origin in used}
    for number, part in found.groupby("origin"):
        origin = made.origins[int(str(number))]
        plan, places = planned[fitted[origin]], part["place"].to_numpy().astype(np.int64)
        codes = timeline.codes[places]
        names = np.array(panel.entities, dtype=object)[codes]
        columns: dict[str, Any] = {
            "origin": np.repeat(origin, len(places)),
            "fitted": np.repeat(fitted[origin], len(places)),
            "horizon": made.steps.ahead(origin, timeline.times[places]),
        }
        columns |= {
            name: np.array(panel.entity_table.column(name).to_pylist(), dtype=object)[codes]
            for name in panel.entity_columns
        }
        columns["entity"] = names
        columns["role"] = [plan.roles.get(name, "new") for name in names]
        columns |= {"time": timeline.times[places], "observed": timeline.target[places]}
        own = part.drop(columns=["place", "origin"]).reset_index(drop=True)
        tables.append(pd.concat([pd.DataFrame(columns), own], axis=1))
    return pd.concat(tables, ignore_index=True)


def _about(
    made: Design, tables: Mapping[str, pd.DataFrame], fits: Mapping[str, int], seconds: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "name": made.name,
        "key": made.key,
        "names": list(made.names),
        "configurations": [entrant.name for entrant in made.entrants],
        "origins": [written(origin) for origin in made.origins],
        "horizon": made.horizon,
        "every": made.every,
        "step": str(made.steps),
        "season": made.season,
        "clock": made.clock,
        "intervals": list(made.intervals),
        "forecasts": {name: len(table) for name, table in tables.items()},
        "fits": dict(fits),
        "configs": {entrant.name: to_yaml(entrant.config) for entrant in made.entrants},
        "notices": list(made.notices),
        "seconds": dict(seconds),
    }


def _outside(name: str, planned: Iterable[Plan]) -> list[str]:
    """A sentence where priors come from results or files, which nobody can cut at an origin."""
    kinds = {source.kind for plan in planned for source in plan.sources.values()} & OUTSIDE
    if not kinds:
        return []
    said = f"{name}: priors from {', '.join(sorted(kinds))} may know what came after an origin; scores are"
    return [f"{said} honest only where they were made from rows before the first one"]


def _finished(made: Design, folder: Path) -> Backtest | None:
    if not published(folder):
        return None
    there = Backtest.load(folder)
    if there.about["key"] != made.key:
        raise ResultError(
            f"{folder} holds another backtest (key {there.about['key'][:12]}, not {made.key[:12]}); results "
            "are never changed: write to another folder, or leave out= out to get one named by its inputs"
        )
    return there


@contextmanager
def _timed(name: str, seconds: dict[str, float], stage: Stages | None) -> Iterator[None]:
    begin = time.perf_counter()
    if stage is None:
        yield
    else:
        with stage(name):
            yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
