"""Forecasts of models that remember the rows before: simulated row by row, each draw with its own past."""

import numpy as np

from posterity.inference.compiled import CompiledModel, Floats, inputs_of
from posterity.models import history
from posterity.models.arrays import alone, remembered
from posterity.models.build import WEIGHT
from posterity.models.description import Numbers
from posterity.models.history import Recall
from posterity.panel import Rows


def ahead(
    model: CompiledModel,
    numbers: Numbers,
    rows: Rows,
    values: Floats,
    rng: np.random.Generator,
    past: Rows | None = None,
) -> tuple[Floats, Floats | None]:
    """Draws (S, n) of new observations at `rows`, jointly, and of the expectation of each given those before.

    `values` (S, P) are draws of the parameters on their own scale; `past` holds all observed rows before
    `rows`, which must be in order of time. What a draw gives for a row is part of what it remembers at the
    next: errors add up over the rows, and nothing is known of the target but its past. Without a past, a
    model that takes an entity's first row as given cannot say anything, and its draws are missing (NaN).
    """
    description, time = model.description, model.description.time
    assert time is not None
    memories = description.history
    if past is None and history.taken_as_given(memories, 1).any():
        missing = np.full((len(values), rows.n), np.nan)
        return missing, None if model.built.expected is None else missing
    held = {name: Recall(memory) for name, memory in memories.items()}
    if past is not None:
        held = history.recalled(memories, remembered(description, past), past.columns[time])[1]
    data = {**alone(description, rows), WEIGHT: np.ones(rows.n)}
    observed, expected = np.full((2, len(values), rows.n), np.nan)
    for i, at in enumerate(rows.columns[time].tolist()):
        row = {name: column[i : i + 1] for name, column in data.items()}
        inputs = inputs_of(model, {**row, **numbers, **history.held_inputs(held, len(values))})
        drawn, mean = model.step(values, inputs, rng)
        observed[:, i] = drawn
        expected[:, i] = np.nan if mean is None else mean
        for name, recall in held.items():
            of = recall.memory.of
            # Whatever is no column of these rows is the target.
            held[name] = recall.after(rows.columns[of][i] if of in rows.columns else observed[:, i], at)
    return observed, None if model.built.expected is None else expected
