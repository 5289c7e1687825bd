"""A description into a PyMC model whose data columns, their length and the numbers of its priors are all
inputs.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.moments.means import mean
from pymc.exceptions import UndefinedMomentException

from posterity.config.expressions import parse
from posterity.config.smooths import Smooth, names_of
from posterity.errors import ModelError
from posterity.models import functions, history, own, priors, regression, smooths
from posterity.models.description import Description, bindings
from posterity.models.expressions import evaluate
from posterity.models.likelihood import observe

TARGET = "target"
PREVIOUS = "previous"
GAP = "gap"
WEIGHT = "rows:weight"


@dataclass(frozen=True)
class BuiltModel:
    """A PyMC model and the handles that inference needs.

    `parameters` are the named unknowns a user reads, in order; a non-centred parameter is there, its offset
    is not. `expected` is the mean of the target given the parameters, or None where the family has no known
    one. `owners` says for every free variable whose prior created it: for `rate_mu`, the mean inside the
    prior of `rate`, that is `rate`. `quantities` are those of the configuration, by name.
    """

    description: Description
    model: pm.Model
    parameters: tuple[Any, ...]
    observed: Any
    expected: Any | None
    owners: Mapping[str, str]
    quantities: Mapping[str, Any] = field(default_factory=dict)


def build(description: Description) -> BuiltModel:
    """Build the PyMC model of a description. The values of its data are placeholders.

    Raises ModelError where a name, function or prior cannot be turned into a graph.
    """
    levels = {dim: list(labels) for dim, labels in description.levels.items()}
    placeholder = np.ones(2)
    with pm.Model(coords=levels) as model:
        known: dict[str, Any] = {name: pm.Data(name, placeholder) for name in description.inputs}
        known |= {name: pm.Data(name, values) for name, values in description.designed.items()}
        rows = np.zeros(2, dtype=np.int64)
        index = {pair: pm.Data(index_name(*pair), rows) for pair in description.indices}
        target = pm.Data(TARGET, placeholder.astype(np.int64 if description.discrete else np.float64))
        order = (pm.Data(PREVIOUS, placeholder), pm.Data(GAP, placeholder)) if description.ordered else None
        owners: dict[str, str] = {}
        for name, one in description.smooths.items():
            basis = smooths.input_name(name)
            known[basis] = pm.Data(basis, np.ones((2, one.m)))
        owner = {names_of(quantity)[2]: quantity for quantity in description.smooths}
        for name in _in_order(description):
            factor = None
            if name in owner:
                amplitude, lengthscale, _ = (known.get(word) for word in names_of(owner[name]))
                factor = smooths.scaling(description.smooths[owner[name]], amplitude, lengthscale)
            known[name] = priors.create(name, description.priors[name], known, factor)
            owners |= {variable.name: name for variable in model.free_RVs if variable.name not in owners}
        parameters = tuple(_parameters(model, description.priors))
        for name, memory in description.history.items():
            known[name] = pm.Data(history.input_name(name), placeholder)
            if memory.start is not None:
                start: Any = known[memory.start] if isinstance(memory.start, str) else memory.start
                known[name] = known[name] + start * pm.Data(history.left_name(name), placeholder)
        for name, quantity in description.model.quantities.items():
            known[name] = quantity_value(name, quantity, known, index, description)
        if description.model.build is not None:
            observed = own.observe(description, known, index, target)
        else:
            assert description.model.likelihood is not None
            observed = observe(description.model.likelihood, known, target, order)
        if description.weighted:
            # The model counts every row once already; what is left is the weight beyond that.
            beyond: Any = pm.Data(WEIGHT, placeholder) - 1  # type: ignore[operator]
            pm.Potential("weighting", (beyond * pm.logp(observed, target)).sum())
    try:
        expected = mean(observed)
    except (NotImplementedError, UndefinedMomentException):
        expected = None
    quantities = {name: known[name] for name in description.model.quantities}
    return BuiltModel(description, model, parameters, observed, expected, owners, quantities)


def index_name(column: str, dim: str) -> str:
    """Name of the input that holds the position of each row's `column` among the labels of `dim`."""
    return f"index:{dim}" if column == dim else f"index:{dim}:{column}"


def _in_order(description: Description) -> Iterator[str]:
    """Parameters such that each comes after those its prior refers to."""
    waiting = dict(description.priors)
    before = {weights: {*scalars} for *scalars, weights in map(names_of, description.smooths)}
    done: set[str] = set()
    while waiting:
        ready = [
            name
            for name, spec in waiting.items()
            if {*priors.references(spec), *before.get(name, ())} <= done
        ]
        if not ready:
            raise ModelError(f"the priors of {', '.join(waiting)} refer to each other in a circle")
        for name in ready:
            done.add(name)
            del waiting[name]
            yield name


def _parameters(model: pm.Model, order: Mapping[str, Any]) -> list[Any]:
    """The unknowns as the user named them, in the configuration's order, each before those in its prior.

    A deterministic replaces the offset or raw variable that it is made from.
    """
    made = {variable.name for variable in model.deterministics}
    seen = [
        v
        for v in (*model.deterministics, *model.free_RVs)
        if (root := v.name.removesuffix("_offset").removesuffix("_raw")) == v.name or root not in made
    ]
    names = list(order)

    def place(variable: Any) -> tuple[int, int]:
        owners = [i for i, n in enumerate(names) if variable.name == n or variable.name.startswith(f"{n}_")]
        exact = [i for i in owners if names[i] == variable.name]
        return (exact or sorted(owners, key=lambda i: -len(names[i])))[0], len(variable.name)

    return sorted(seen, key=place)


def quantity_value(
    name: str,
    quantity: Any,
    known: dict[str, Any],
    index: dict[tuple[str, str], Any],
    description: Description,
) -> Any:
    """The symbolic value of a quantity; `known` holds parameters, columns and earlier quantities."""

    def subscript(vector: str, entry: ast.expr) -> Any:
        entries = entry.elts if isinstance(entry, ast.Tuple) else [entry]
        dims = description.priors[vector].dims
        if len(entries) != len(dims):
            raise ModelError(
                f"quantity {name}: {vector} has the dims {', '.join(dims)}; give one index for each"
            )
        return known[vector][tuple(_entry(e, dim) for e, dim in zip(entries, dims, strict=True))]

    def _entry(entry: ast.expr, dim: str) -> Any:
        if isinstance(entry, ast.Name):
            return index[entry.id, dim]
        return _position(ast.literal_eval(entry), dim, description.levels[dim])

    def smooth(one: Smooth) -> Any:
        amplitude, lengthscale, weights = (known[word] for word in names_of(name))
        return smooths.value(one, known[smooths.input_name(name)], amplitude, lengthscale, weights[()])

    try:
        if quantity.expression is not None:
            value = evaluate(parse(quantity.expression), known, subscript, smooth)
        elif quantity.design is not None:
            value = regression.value(name, quantity.design, known)
        else:
            arguments = {a: known[n] for a, n in bindings(quantity, description.time).items()}
            value = functions.resolve(quantity.function)(**arguments)
    except (TypeError, ValueError, NotImplementedError, AttributeError) as error:
        raise ModelError(f"quantity {name} cannot be built: {error}") from error
    return pt.as_tensor_variable(value)


def _position(entry: str | int, dim: str, labels: tuple[Any, ...]) -> int:
    """A number is a position, text is a label, as in the configuration's checks."""
    texts = [str(label) for label in labels]
    if isinstance(entry, int) and entry < len(labels):
        return entry
    if entry in texts:
        return texts.index(str(entry))
    raise ModelError(
        f"{entry!r} is no entry of {dim}; it has the labels {', '.join(map(repr, texts))}, "
        f"or positions 0 to {len(labels) - 1}"
    )
