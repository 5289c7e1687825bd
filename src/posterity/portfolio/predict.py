"""Predictions of a result for rows it has not seen."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from posterity.errors import ConfigError, PanelError
from posterity.inference.compiled import CompiledModel, Floats, compiled
from posterity.inference.fit import Seeds
from posterity.models import Description, describe
from posterity.panel import Panel, Rows, read
from posterity.panel.reading import Source
from posterity.portfolio.answering import answers_at
from posterity.portfolio.classes import Answers
from posterity.portfolio.entity import summarise
from posterity.portfolio.predictive import predictive_draws
from posterity.portfolio.seen import rows_before

if TYPE_CHECKING:
    from posterity.portfolio.result import Result


CELLS, FEWEST = 100_000, 2_000
"""Draws times rows of an entity that a prediction computes, and draws that it uses at least, if there are so
many: bounds of thousands of rows do not need every draw.
"""


def predict(
    result: "Result", rows: Source, interval: float | Sequence[float] = 0.9, *, expected: bool = True
) -> pd.DataFrame:
    """Posterior predictive distribution and expected curve at new rows: a row out for each row in, by entity.

    `rows` needs the entity columns and the model's inputs, no target. Columns: those, `status`, then `mean`,
    `median`, `lower_P` and `upper_P` of a new observation, and the same with `expected_` before them of the
    curve itself, unless `expected` is false. Entities without a posterior give missing values. All stored
    draws are used, and at least 2,000 of them where an entity has many rows.

    Of a Bernoulli or Categorical target also `predicted`, the most probable class, and `probability`, that
    class's posterior predictive probability; with `abstain` in the configuration `abstained`, true where that
    is below the threshold (Chow's reject option; see `posterity.portfolio.classes`).

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
    tables = [_entity(result, model, panel, entity, masses, expected) for entity in panel.entities]
    table: pd.DataFrame = pa.concat_tables(tables, promote_options="default").to_pandas()
    return table


def _entity(
    result: "Result",
    model: CompiledModel,
    panel: Panel,
    entity: str,
    masses: tuple[float, ...],
    expected: bool,
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
    drawn = entity_draws(result, model, entity, rows)
    if (found := entity_answers(result, model, entity, rows, drawn)) is not None:
        columns |= found.columns(result.config.abstain)
    if drawn is not None:
        observed, curve = drawn
        columns |= summarise(observed, masses).columns("", masses)
        if expected and curve is not None:
            columns |= summarise(curve, masses).columns("expected_", masses)
    return pa.table(columns)


def entity_draws(
    result: "Result", model: CompiledModel, entity: str, rows: Rows
) -> tuple[Floats, Floats | None] | None:
    """Draws of new observations and of the expected curve (S, n) at an entity's rows, from its stored draws;
    None where it has no posterior. The same rows give the same draws.
    """
    if (values := _stored(result, model, entity, rows)) is None:
        return None
    description = model.description
    key = result.entity_row(entity)["fit_key"]
    rng = np.random.default_rng(Seeds.of(result.config.inference.seed, key).predict)
    last = rows_before(result, description, entity, rows) if description.context else None
    return predictive_draws(model, description.numbers, rows, values, rng, last)


def entity_answers(
    result: "Result",
    model: CompiledModel,
    entity: str,
    rows: Rows,
    drawn: tuple[Floats, Floats | None] | None,
) -> Answers | None:
    """The classes of an entity's rows, given what `entity_draws` gave there; None where the target is none,
    or the entity has no posterior.
    """
    if drawn is None or not model.description.model.family.classifies:
        return None
    values = _stored(result, model, entity, rows)
    return None if values is None else answers_at(model, model.description.numbers, rows, values, drawn)


def _stored(result: "Result", model: CompiledModel, entity: str, rows: Rows) -> Floats | None:
    """Stored draws of the parameters (S, P), thinned where rows are many; None where there are none."""
    draws = result.entity_table("draws.parquet", entity)
    if not draws.num_rows:
        return None
    most = max(FEWEST, CELLS // max(rows.n, 1))
    thin = slice(None, None, max(1, draws.num_rows // most))
    return np.column_stack([draws[name].to_numpy()[thin] for name in model.parameter_names])


def described(result: "Result") -> Description:
    """The model of a result with the levels that its parameters were fitted with."""
    model = next(node for node in result.graph.nodes if node.kind == "model")
    levels = model.attributes["levels"]
    return replace(describe(result.config), levels={dim: tuple(labels) for dim, labels in levels.items()})
