"""Predictions of a result for rows it has not seen."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from posterity.errors import ConfigError, PanelError
from posterity.inference.compiled import CompiledModel, compiled, inputs_of
from posterity.inference.fit import Seeds
from posterity.models import Description, describe
from posterity.models.arrays import arrays
from posterity.models.build import GAP, PREVIOUS, TARGET
from posterity.panel import Panel, Rows, read
from posterity.panel.reading import Source
from posterity.portfolio.entity import summarise

if TYPE_CHECKING:
    from posterity.portfolio.result import Result


def predict(result: "Result", rows: Source, interval: float | Sequence[float] = 0.9) -> pd.DataFrame:
    """Posterior predictive distribution and expected curve at new rows: a row out for each row in, by entity.

    `rows` needs the entity columns and the model's inputs, no target. Columns: those, `status`, then `mean`,
    `median`, `lower_P` and `upper_P` of a new observation, and the same with `expected_` before them of the
    curve itself. Entities without a posterior give missing values.

    Where errors depend on the row before (`errors: ar1`), each row is predicted given the last observed row
    before the entity's first row in `rows`: forecasts fan out from the last observation instead of from the
    curve.

    Raises PanelError for rows that cannot be read and entities that the result does not know.
    """
    masses = (interval,) if isinstance(interval, int | float) else tuple(interval)
    if not masses or not all(0 < mass < 1 for mass in masses):
        raise ConfigError([f"interval {interval!r} is no mass between 0 and 1, for instance 0.9"])
    config, description = result.config, described(result)
    columns = [c for c in description.columns if c != config.data.time]
    panel = read(rows, entity=config.data.entity, time=config.data.time, columns=columns)
    known = set(result.entities["entity"])
    if strangers := [e for e in panel.entities if e not in known]:
        raise PanelError(
            [
                (
                    f"{len(strangers)} entities are not in the result, first {strangers[0]!r}; "
                    "fit them, or leave them out"
                )
            ]
        )
    model = compiled(description)
    tables = [_entity(result, model, panel, entity, masses) for entity in panel.entities]
    table: pd.DataFrame = pa.concat_tables(tables, promote_options="default").to_pandas()
    return table


def _entity(
    result: "Result", model: CompiledModel, panel: Panel, entity: str, masses: tuple[float, ...]
) -> pa.Table:
    rows, about = panel.rows(entity), result.entity_row(entity)
    columns: dict[str, Any] = dict(
        zip(panel.entity_columns, ([v] * rows.n for v in panel.entity_values(entity)), strict=True)
    )
    columns["entity"] = [entity] * rows.n
    if panel.time is not None:
        columns[panel.time] = rows.time
    columns |= {name: rows.columns[name] for name in model.description.columns if name not in columns}
    columns["status"] = [about["status"]] * rows.n
    draws = result.entity_table("draws.parquet", entity)
    if draws.num_rows:
        values = np.column_stack([draws[name].to_numpy() for name in model.parameter_names])
        rng = np.random.default_rng(Seeds.of(result.config.inference.seed, about["fit_key"]).predict)
        observed, expected = _draws(result, model, entity, rows, values, rng)
        columns |= summarise(observed, masses).columns("", masses)
        if expected is not None:
            columns |= summarise(expected, masses).columns("expected_", masses)
    return pa.table(columns)


def _draws(
    result: "Result", model: CompiledModel, entity: str, rows: Rows, values: Any, rng: np.random.Generator
) -> tuple[Any, Any]:
    description = model.description
    data = arrays(description, rows)
    if not description.ordered:
        return model.predict(values, inputs_of(model, {**data, **description.numbers}), rng)
    begin = _last_before(result, description, entity, rows)
    if begin is None:
        data[GAP] = np.zeros(rows.n)
        return model.predict(values, inputs_of(model, {**data, **description.numbers}), rng)
    # Every row is paired with the last observed one, which the likelihood takes for the row before it.
    assert description.time is not None
    before, last = arrays(description, begin), begin.columns[description.time][0]
    assert begin.target is not None
    paired = {name: _interleave(np.repeat(before[name], rows.n), data[name]) for name in data}
    paired[TARGET] = np.repeat(data[TARGET], 2)
    paired[PREVIOUS] = np.full(2 * rows.n, begin.target[0])
    paired[GAP] = _interleave(np.zeros(rows.n), rows.columns[description.time] - last)
    observed, expected = model.predict(values, inputs_of(model, {**paired, **description.numbers}), rng)
    return observed[:, 1::2], None if expected is None else expected[:, 1::2]


def _last_before(result: "Result", description: Description, entity: str, rows: Rows) -> Rows | None:
    """The last observed row before the first row to predict, as rows of length 1."""
    seen = result.entity_table("intervals.parquet", entity)
    times, first = seen["time"].to_numpy(), rows.time
    assert first is not None
    earlier = np.flatnonzero(times < first[0])
    if not len(earlier):
        return None
    at = earlier[-1:]
    numeric = (
        times.astype("datetime64[us]").astype(np.float64) / 86_400e6 if times.dtype.kind == "M" else times
    )
    columns = {
        name: seen[name].to_numpy(zero_copy_only=False)[at]
        for name in description.columns
        if name in seen.column_names
    }
    assert description.time is not None
    columns[description.time] = numeric[at].astype(np.float64)
    return Rows(columns, seen["observed"].to_numpy()[at], times[at], 1)


def _interleave(first: Any, second: Any) -> Any:
    return np.stack([first, second], axis=1).ravel()


def described(result: "Result") -> Description:
    """The model of a result with the levels that its parameters were fitted with."""
    model = next(node for node in result.graph.nodes if node.kind == "model")
    levels = model.attributes["levels"]
    return replace(describe(result.config), levels={dim: tuple(labels) for dim, labels in levels.items()})
