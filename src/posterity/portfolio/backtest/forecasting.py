"""Forecasts of a configuration from its parts, scored where they are made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from posterity.errors import PanelError, RunnerError
from posterity.inference.compiled import Floats, compiled
from posterity.inference.fit import Seeds
from posterity.models import Description
from posterity.panel import Rows
from posterity.portfolio.backtest.design import Design, Entrant
from posterity.portfolio.backtest.fitting import Hands
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan
from posterity.portfolio.predictive import predictive_draws
from posterity.portfolio.runners import WorkerDied
from posterity.portfolio.scores import DISCRETE, score_draws, uniforms
from posterity.portfolio.shard import brief

SHARE = 16
"""Shards a worker gets on average, so that none waits long for the last."""


@dataclass(frozen=True)
class Forecast:
    """Rows of an entity to forecast from one origin, by the posterior `fit_key` in row `at` of a part.

    `past` holds the last rows known at the origin, as many as the model looks back at; `origin` is that one's
    number; `places` are those of the rows in the panel.
    """

    entity: str
    fit_key: str
    part: Path
    at: int
    origin: int
    rows: Rows
    past: Rows
    places: tuple[int, ...]


@dataclass(frozen=True)
class Forecasts:
    """A shard of forecasts; plain and picklable."""

    description: Description
    seed: int
    intervals: tuple[float, ...]
    discrete: bool
    work: tuple[Forecast, ...]

    @property
    def title(self) -> str:
        """What people read."""
        return f"score {brief(self.work[0].entity)} … {brief(self.work[-1].entity)} ({len(self.work)})"


def scored(
    design: Design, entrant: Entrant, planned: Mapping[Any, Plan], folder: Path, hands: Hands
) -> pd.DataFrame:
    """Scores of every forecast of a configuration: `place` (of the row in its panel), `origin` (its number)
    and the columns of `score_draws`.

    Raises RunnerError where workers die twice on the same forecasts.
    """
    shards = list(_shards(design, entrant, planned, folder, hands.workers))
    tables: list[pd.DataFrame] = []
    for attempt in range(2):
        dead = []
        for shard, outcome in hands.runner.run(score_shard, shards):
            if not isinstance(outcome, WorkerDied):
                tables.append(outcome)
            elif attempt:
                raise RunnerError(
                    f"a worker died twice during '{shard.title}': {outcome}; is there memory enough? "
                    "Try fewer (workers=1)"
                )
            else:
                dead.append(shard)
        shards = dead
    kept = [table for table in tables if len(table)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame({"place": [], "origin": []})


def score_shard(shard: Forecasts) -> pd.DataFrame:
    """Draw and score every forecast of a shard. Runs in a worker."""
    model = compiled(shard.description)
    parts = {path: _part(path) for path in {one.part for one in shard.work}}
    found: dict[int, list[tuple[Forecast, Floats]]] = {}
    for one in shard.work:
        table = parts[one.part].slice(one.at, 1)
        stored = table["draws"].combine_chunks().flatten()
        values = np.column_stack([stored.field(name).to_numpy() for name in model.parameter_names])
        rng = np.random.default_rng(Seeds.of(shard.seed, one.fit_key).predict)
        try:
            drawn, _ = predictive_draws(model, shard.description.numbers, one.rows, values, rng, one.past)
        except PanelError:  # a level that nobody had seen at the fit: there is no forecast
            continue
        found.setdefault(len(drawn), []).append((one, drawn))
    return pd.concat([_scores(shard, group) for group in found.values()]) if found else pd.DataFrame()


def _scores(shard: Forecasts, group: list[tuple[Forecast, Floats]]) -> pd.DataFrame:
    """Of forecasts with equally many draws, at once."""
    targets = [one.rows.target for one, _ in group]
    observed = np.concatenate([target for target in targets if target is not None])
    # Each origin has numbers of its own, also where the posterior is the one before.
    places = [uniforms(shard.seed + one.origin, one.fit_key, one.rows.n) for one, _ in group]
    draws = np.concatenate([drawn for _, drawn in group], axis=1).astype(np.float64)
    columns = score_draws(observed, draws, shard.intervals, np.concatenate(places), discrete=shard.discrete)
    about = {
        "place": np.concatenate([one.places for one, _ in group]),
        "origin": np.repeat([one.origin for one, _ in group], [one.rows.n for one, _ in group]),
    }
    # Where a model cannot say anything there is no forecast.
    return pd.DataFrame({**about, **columns})[~np.isnan(draws).all(axis=0)]


def _shards(
    design: Design, entrant: Entrant, planned: Mapping[Any, Plan], folder: Path, workers: int
) -> Iterator[Forecasts]:
    groups: dict[str, tuple[Description, list[Forecast]]] = {}
    where = posteriors(folder)
    number = {origin: i for i, origin in enumerate(design.origins)}
    for fitted, used in design.fits():
        plan = planned[fitted]
        group = groups.setdefault(plan.description.key, (plan.description, []))[1]
        for origin in used:
            group += _from(entrant, plan, number[origin], origin, design, where)
    config = entrant.config
    discrete = config.model.family.support in DISCRETE
    for description, work in groups.values():
        work.sort(key=lambda one: (one.part, one.at))  # a part is opened by few
        size = max(1, -(-len(work) // (SHARE * max(1, workers))))
        for i in range(0, len(work), size):
            chosen = tuple(work[i : i + size])
            yield Forecasts(description, config.inference.seed, design.intervals, discrete, chosen)


def _from(
    entrant: Entrant,
    plan: Plan,
    number: int,
    origin: Any,
    design: Design,
    where: Mapping[str, tuple[Path, int]],
) -> Iterator[Forecast]:
    """Forecasts of one origin, of the entities that had a posterior then."""
    timeline = entrant.timeline
    ahead = design.steps.ahead(origin, timeline.times)
    future = (ahead >= 1) & (ahead <= design.horizon) & np.isfinite(timeline.target)
    known = (timeline.times <= origin) & np.isfinite(timeline.target)
    back = max(1, plan.description.context)
    for entity in plan.fittable:
        placed = where.get(plan.keys[entity])
        if placed is None:
            continue
        begin, end = timeline.panel.offsets[timeline.panel.position(entity) :][:2]
        later, earlier = np.flatnonzero(future[begin:end]), np.flatnonzero(known[begin:end])
        if len(later) and len(earlier):
            past = timeline.rows(begin + earlier[-back:])
            rows, places = timeline.rows(begin + later), tuple((begin + later).tolist())
            yield Forecast(entity, plan.keys[entity], *placed, number, rows, past, places)


def posteriors(folder: Path) -> dict[str, tuple[Path, int]]:
    """The part and the row of every posterior in a folder, by fit key; fits that failed have none."""
    found = {}
    parts = Parts(folder)
    for path in sorted(parts.folder.glob("*.arrow")):
        table = _part(path)
        for row, (key, status) in enumerate(
            zip(table["fit_key"].to_pylist(), table["status"].to_pylist(), strict=True)
        ):
            if status != "failed":
                found[key] = (path, row)
    return found


def _part(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
