"""The likelihood of all entities' rows at once: each row looks up its own entity's parameters."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor
from numpy.typing import NDArray

from posterity.errors import ModelError
from posterity.models import smooths
from posterity.models.build import GAP, PREVIOUS, TARGET, BuiltModel, index_name, quantity_value
from posterity.models.likelihood import observe
from posterity.models.regression import Entries


def rows_of(
    data: Mapping[str, NDArray[Any]], entity: NDArray[np.int64], minibatch: int | None
) -> tuple[dict[str, Any], Any]:
    """Inputs by name and the entity index, over all rows or over a random batch of them."""
    if minibatch is None:
        return {name: pm.Data(name, values) for name, values in data.items()}, pm.Data("entity_index", entity)
    columns: Any = [pytensor.shared(values) for values in (*data.values(), entity)]
    batches = pm.Minibatch(*columns, batch_size=minibatch)
    return dict(zip(data, batches[:-1], strict=True)), batches[-1]


def known_at(
    built: BuiltModel, parameters: Sequence[Any], rows: Mapping[str, Any], index: Any
) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    """What quantities and likelihood refer to, each with one value a row (shared parameters: one)."""
    description = built.description
    bases = map(smooths.input_name, description.smooths)
    known = {name: rows[name] for name in (*description.inputs, *description.designed, *bases)}
    for single, value in zip(built.parameters, parameters, strict=True):
        batched = value.ndim > single.ndim
        if single.ndim:
            known[single.name] = Entries(value, index if batched else None)
        else:
            known[single.name] = value[index] if batched else value
    return known, {pair: rows[index_name(*pair)] for pair in description.indices}


def log_likelihood(
    built: BuiltModel,
    known: dict[str, Any],
    picks: dict[tuple[str, str], Any],
    rows: Mapping[str, Any],
) -> Any:
    """Log likelihood of every row."""
    description = built.description
    order = (rows[PREVIOUS], rows[GAP]) if description.ordered else None
    try:
        # A model of its own, so that what counts is the log density alone, scaled or not.
        with pm.Model():
            for name, quantity in description.model.quantities.items():
                known[name] = quantity_value(name, quantity, known, picks, description)
            with warnings.catch_warnings():
                # Whoever asked for batches scales them.
                warnings.filterwarnings("ignore", message="total_size not provided")
                assert description.model.likelihood is not None
                observed = observe(description.model.likelihood, known, rows[TARGET], order)
            return pm.logp(observed, rows[TARGET])
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"the entities cannot be joined in one model: {error}; `inference.pooling: separate` fits them"
        ) from error
