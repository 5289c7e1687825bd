"""The classes that a model makes of rows, from draws of its parameters."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config.distributions import Support
from posterity.inference.compiled import CompiledModel, Floats, inputs_of
from posterity.models.arrays import arrays
from posterity.models.description import Numbers
from posterity.panel import Rows
from posterity.portfolio.classes import Answers


def answers(
    model: CompiledModel,
    values: Floats,
    inputs: Any,
    observed: NDArray[Any],
    expected: Floats | None,
) -> Answers | None:
    """Answers at the rows of these inputs, given draws of the parameters (S, P) and predictive ones of the
    target and of its expectation (S, n) there; None where the target is no class.

    Probabilities are means over draws of the class probabilities; where a model does not tell these, or rows
    depend on rows before that are themselves predicted, the shares of the predictive draws.
    """
    support = model.description.model.family.support
    if support is Support.BINARY:
        one = (observed if expected is None else expected).mean(axis=0)
        return Answers.of(np.column_stack([1 - one, one]))
    if support is not Support.CATEGORY:
        return None
    told = None if model.description.context else model.classes(values, inputs)
    return Answers.of(_shares(observed) if told is None else told)


def answers_at(
    model: CompiledModel,
    numbers: Numbers,
    rows: Rows,
    values: Floats,
    drawn: tuple[NDArray[Any], Floats | None],
) -> Answers | None:
    """The same at an entity's rows."""
    if not model.description.model.family.classifies:
        return None
    data: Mapping[str, Any] = (
        {} if model.description.context else {**arrays(model.description, rows), **numbers}
    )
    return answers(model, values, inputs_of(model, data) if data else (), *drawn)


def _shares(observed: NDArray[Any]) -> Floats:
    """Share of draws (S, n) of every class, (n, K)."""
    classes = np.arange(int(observed.max()) + 1)
    found: Floats = np.stack([(observed == c).mean(axis=0) for c in classes], axis=1)
    return found
