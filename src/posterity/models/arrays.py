"""One entity's rows as the arrays that its model takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.errors import PanelError
from posterity.models.build import GAP, PREVIOUS, TARGET, index_name
from posterity.models.description import Description
from posterity.panel import Rows


def arrays(description: Description, rows: Rows) -> dict[str, NDArray[Any]]:
    """Every data input of the model by name, each of shape (n,).

    A missing target (rows to predict) is given as zeros: only its length is used then. Rows must be in time
    order where errors depend on the row before; the first row has gap 0, which the likelihood reads as "no
    row before".
    """
    target = np.zeros(rows.n) if rows.target is None else rows.target
    found: dict[str, NDArray[Any]] = {name: rows.columns[name] for name in description.inputs}
    found |= {
        index_name(column, dim): _codes(description, rows, column, dim) for column, dim in description.indices
    }
    found[TARGET] = target
    if description.ordered:
        assert description.time is not None
        time = rows.columns[description.time]
        found[PREVIOUS] = np.concatenate([target[:1], target[:-1]])
        found[GAP] = np.diff(time, prepend=time[:1])
    return found


def _codes(description: Description, rows: Rows, column: str, dim: str) -> NDArray[np.int64]:
    levels = {level: i for i, level in enumerate(description.levels[dim])}
    values = rows.columns[column].tolist()
    unknown = sorted({str(v) for v in values if v not in levels})
    if unknown:
        known = ", ".join(map(str, list(levels)[:10]))
        raise PanelError(
            [f"column {column!r} has the level {unknown[0]!r}, which the model does not know; it has {known}"]
        )
    return np.array([levels[v] for v in values], dtype=np.int64)
