"""Some rows at a time, each weighted so that they stand for all of them."""

from collections.abc import Iterator

import numpy as np

from posterity.inference.compiled import CompiledModel, Inputs
from posterity.models import smooths
from posterity.models.build import TARGET, WEIGHT, index_name


def minibatches(
    model: CompiledModel, inputs: Inputs, size: int | None, rng: np.random.Generator
) -> Iterator[Inputs] | None:
    """Inputs of the model's weighted structure for `size` of the n rows at a time, without end: every row
    once before any comes again, each weighted by n / size beyond the weight it has. None where all rows are
    one batch.

    Rows that are left over at the end of a round, fewer than `size`, are left out of that round.
    """
    n = inputs[model.input_names.index(TARGET)].size
    if size is None or size >= n:
        return None
    return _rounds(model, inputs, size, n, rng)


def _rounds(
    model: CompiledModel, inputs: Inputs, size: int, n: int, rng: np.random.Generator
) -> Iterator[Inputs]:
    description = model.description
    data = dict(zip(model.input_names, inputs, strict=True))
    data[WEIGHT] = data.get(WEIGHT, np.ones(n)) * weight(n, size)
    own = {*description.inputs, *(index_name(*pair) for pair in description.indices), TARGET, WEIGHT}
    own |= {*description.designed, *map(smooths.input_name, description.smooths)}
    wide = {name: data[name] for name in own if data[name].ndim > 1}
    # The weighted structure has the same inputs and the weight, in an order of its own.
    names = weighted_names(model)
    single = own - set(wide)
    kinds = {data[name].dtype for name in single}
    at = {kind: [name for name in names if name in single and data[name].dtype == kind] for kind in kinds}
    # Columns of one type side by side, so that a round is shuffled at once and a batch is a view.
    blocks = {kind: np.stack([data[name] for name in columns]) for kind, columns in at.items()}
    while True:
        order = rng.permutation(n)
        shuffled = {kind: block[:, order] for kind, block in blocks.items()}
        shuffled_wide = {name: values[order] for name, values in wide.items()}
        for start in range(0, n - size + 1, size):
            batch = data | {name: values[start : start + size] for name, values in shuffled_wide.items()}
            for kind, columns in at.items():
                batch.update(zip(columns, shuffled[kind][:, start : start + size], strict=True))
            yield tuple(batch[name] for name in names)


def weight(rows: int, size: int) -> float:
    """What each row of a batch counts for."""
    return rows / size


def weighted_names(model: CompiledModel) -> tuple[str, ...]:
    """Inputs of the model's weighted structure, in its order."""
    if model.description.weighted:
        return model.input_names
    from posterity.inference.compiled import compiled

    return compiled(model.description.with_weights()).input_names
