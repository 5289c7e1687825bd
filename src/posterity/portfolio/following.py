"""Forecasts of models of one's own whose rows depend on the targets before them: simulated row by row."""

import numpy as np

from posterity.inference.compiled import CompiledModel, Floats, inputs_of
from posterity.models.arrays import alone
from posterity.models.build import TARGET, WEIGHT
from posterity.models.description import Numbers
from posterity.panel import Rows


def following(
    model: CompiledModel,
    numbers: Numbers,
    rows: Rows,
    values: Floats,
    rng: np.random.Generator,
    past: Rows | None = None,
) -> tuple[Floats, Floats | None]:
    """Draws (S, n) of new observations at `rows`, jointly, and of the expectation of each given those before.

    `values` (S, P) are draws of the parameters on their own scale; `past` holds the last observed rows before
    `rows`, as many as the model looks back at. What a draw gives for a row is what it looks back at from the
    next. Every row costs an evaluation of the model over all rows it looks back at.
    """
    description = model.description
    own = alone(description, rows)
    before = {} if past is None else alone(description, past)
    known = 0 if past is None else past.n
    look, size = description.context, len(values)
    targets = np.zeros((size, known + rows.n), model.target_dtype)
    if past is not None:
        targets[:, :known] = before[TARGET]
    observed, expected = np.full((2, size, rows.n), np.nan)
    for i in range(rows.n):
        end = known + i + 1
        start = max(0, end - 1 - look)
        data = {name: np.concatenate([before.get(name, v[:0]), v])[start:end] for name, v in own.items()}
        inputs = inputs_of(model, {**data, WEIGHT: np.ones(end - start), **numbers})
        drawn, mean = model.follow(values, targets[:, start:end], inputs, rng)
        observed[:, i] = targets[:, end - 1] = drawn[:, -1]
        expected[:, i] = np.nan if mean is None else mean[:, -1]
    return observed, None if model.built.expected is None else expected
