"""Draws from the posterior predictive distribution of one entity's rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.inference.compiled import CompiledModel, Floats, inputs_of
from posterity.models.arrays import arrays, unscaled
from posterity.models.build import GAP, PREVIOUS, TARGET
from posterity.models.description import Numbers
from posterity.panel import Rows
from posterity.portfolio.ahead import ahead
from posterity.portfolio.following import following


def predictive_draws(
    model: CompiledModel,
    numbers: Numbers,
    rows: Rows,
    values: Floats,
    rng: np.random.Generator,
    last: Rows | None = None,
) -> tuple[Floats, Floats | None]:
    """Draws of new observations (S, n) at `rows`, and of the expected curve where the family has one.

    `values` (S, P) are draws of the parameters on their own scale, `numbers` those of the declared priors.
    `last` is the last observed row before `rows`, of length 1; where errors depend on the row before, every
    row is predicted given it, so that forecasts fan out from the last observation. A model with a history is
    given all rows before and simulated on from there (`ahead`), and so is one of one's own that looks back
    (`following`). Other models ignore it.

    Raises PanelError for rows with a level that the model does not know.
    """
    observed, expected = _on_its_scale(model, numbers, rows, values, rng, last)
    return unscaled(model.description, observed), unscaled(model.description, expected)


def _on_its_scale(
    model: CompiledModel,
    numbers: Numbers,
    rows: Rows,
    values: Floats,
    rng: np.random.Generator,
    last: Rows | None,
) -> tuple[Floats, Floats | None]:
    """The same on the scale on which the model reads the target."""
    if model.description.history:
        return ahead(model, numbers, rows, values, rng, last)
    if model.description.model.build is not None and model.description.context:
        return following(model, numbers, rows, values, rng, last)
    data = arrays(model.description, rows)
    if not model.description.ordered or last is None:
        if model.description.ordered:
            data[GAP] = np.zeros(rows.n)
        return model.predict(values, inputs_of(model, {**data, **numbers}), rng)
    paired = _paired(model, rows, last, data)
    observed, expected = model.predict(values, inputs_of(model, {**paired, **numbers}), rng)
    return observed[:, 1::2], None if expected is None else expected[:, 1::2]


def _paired(
    model: CompiledModel, rows: Rows, last: Rows, data: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Every row after a copy of the last observed one, which the likelihood takes for the row before it."""
    time = model.description.time
    assert time is not None
    before, instant = arrays(model.description, last), last.columns[time][0]
    paired = {name: _interleave(np.repeat(before[name], rows.n, axis=0), data[name]) for name in data}
    paired[TARGET] = np.repeat(data[TARGET], 2)
    paired[PREVIOUS] = np.full(2 * rows.n, before[TARGET][0])
    paired[GAP] = _interleave(np.zeros(rows.n), rows.columns[time] - instant)
    return paired


def _interleave(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    return np.stack([first, second], axis=1).reshape(-1, *first.shape[1:])
