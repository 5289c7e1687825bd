"""A model of one's own: a Python function adds the observed variable to the model that is being built."""

from collections.abc import Mapping
from typing import Any

import pymc as pm
from pytensor.graph.traversal import ancestors, walk
from pytensor.tensor.shape import Shape, Shape_i

from posterity.errors import ModelError
from posterity.models import functions
from posterity.models.description import Description


def observe(
    description: Description,
    known: Mapping[str, Any],
    index: Mapping[tuple[str, str], Any],
    target: Any,
) -> Any:
    """Call the function in the current PyMC model and return the one observed variable that it made.

    It is called as `function(data, priors)`. `data` maps the target's name, the time column's and those in
    `build.columns` to symbolic vectors (n,), and every dimension that is a column to the positions of its
    rows' labels (n,); columns come in the order of `build.columns` and the target last. `priors` maps
    parameters to random variables. It may open a `pm.Model()` of its own, which becomes part of the current
    one, and may return it.

    Raises ModelError where the function fails, where it makes unknowns of its own (priors are declared),
    where not exactly one variable is observed, or where rows depend on others without `lookback` saying so.
    """
    build, model = description.model.build, pm.modelcontext(None)
    assert build is not None
    name = build.function
    data = {column: known[column] for column in description.inputs}
    data |= {dim: position for (column, dim), position in index.items() if column == dim}
    data[description.target] = target
    declared = set(model.free_RVs)
    try:
        functions.resolve(name)(data, {p: known[p] for p in description.priors})
    except ModelError:
        raise
    except Exception as error:  # whatever the function raises is its author's to read
        raise ModelError(f"build: {name} raised {type(error).__name__}: {error}") from error
    if extra := [v.name for v in model.free_RVs if v not in declared]:
        raise ModelError(
            f"build: {name} makes the unknown {extra[0]!r} itself; declare its prior under model.parameters "
            "and take it from `priors`, so that it can be transferred and refitted"
        )
    if len(model.observed_RVs) != 1:
        found = ", ".join(v.name for v in model.observed_RVs) or "none"
        raise ModelError(
            f"build: {name} has to make exactly one observed variable, with observed=data"
            f"[{description.target!r}]; found {found}"
        )
    (observed,) = model.observed_RVs
    if target not in ancestors([model.rvs_to_values[observed]]):
        raise ModelError(
            f"build: what {name} observes is not the target; write observed=data[{description.target!r}]"
        )
    if not description.context and _reads(observed, target):
        raise ModelError(
            f"build: the rows of {name} depend on the target of rows before; say on how many, "
            "`build: {function: ..., lookback: all}` or a number"
        )
    return observed


def _reads(observed: Any, target: Any) -> bool:
    """Whether the distribution of a variable depends on the target's values: its length is no value."""

    def inputs(variable: Any) -> list[Any]:
        node = variable.owner
        return [] if node is None or isinstance(node.op, Shape | Shape_i) else node.inputs

    return any(variable is target for variable in walk([observed], inputs))
