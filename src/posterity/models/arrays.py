"""One entity's rows as the arrays that its model takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config.formula import parse
from posterity.config.smooths import Smooth
from posterity.errors import PanelError
from posterity.models import design, history, smooths
from posterity.models.build import GAP, PREVIOUS, TARGET, WEIGHT, index_name
from posterity.models.description import Description
from posterity.panel import Rows


def arrays(
    description: Description, rows: Rows, weights: NDArray[np.float64] | None = None
) -> dict[str, NDArray[Any]]:
    """Every data input of the model by name, each of shape (n,), bases of smooths (n, m) and columns of
    a formula's term (n, k); `weights` (n,) are 1 where there are none.

    A missing target (rows to predict) is given as zeros: only its length is used then. Rows must be in time
    order where errors depend on the row before; the first row has gap 0, which the likelihood reads as "no
    row before".
    """
    found = alone(description, rows)
    target = found[TARGET]
    if description.ordered:
        time = _time(description, rows)
        found[PREVIOUS] = np.concatenate([target[:1], target[:-1]])
        found[GAP] = np.diff(time, prepend=time[:1])
    if description.history:
        columns, time = remembered(description, rows), _time(description, rows)
        found |= history.recalled(description.history, columns, time)[0]
    if description.weighted:
        found[WEIGHT] = np.ones(rows.n) if weights is None else weights
        # Rows to predict or to score have none.
        if (own := description.weights) is not None and own in rows.columns:
            found[WEIGHT] = found[WEIGHT] * rows.columns[own]
        found[WEIGHT] = np.where(history.taken_as_given(description.history, rows.n), 0.0, found[WEIGHT])
    return found


def alone(description: Description, rows: Rows) -> dict[str, NDArray[Any]]:
    """The inputs that a row has by itself, whatever rows are beside it, on the scale of the model."""
    scales = description.scales
    found: dict[str, NDArray[Any]] = {n: scaled(rows.columns[n], scales.get(n)) for n in description.inputs}
    found |= {
        index_name(column, dim): _codes(description, rows, column, dim) for column, dim in description.indices
    }
    for name, quantity in description.formulas.items():
        read = {c: scaled(rows.columns[c], scales.get(c)) for c in parse(quantity.formula or "").columns}
        found |= design.inputs(name, quantity, read, rows.n)
    for name, smooth in description.smooths.items():
        outside, sentence = beyond_edges(name, smooth, found[smooth.column])
        if outside.any():
            first = rows.columns[smooth.column][outside][0]
            raise PanelError([f"{sentence} {outside.sum():,} of {rows.n:,} rows (first: {first:g})"])
        found[smooths.input_name(name)] = smooths.basis(smooth, found[smooth.column])
    own = None if rows.target is None else scaled(rows.target, description.target_scale)
    return found | {TARGET: np.zeros(rows.n) if own is None else own}


def scaled(values: NDArray[Any], scale: tuple[float, float] | None) -> NDArray[Any]:
    """Values of a column as the model reads them: (value - centre) / sd."""
    return values if scale is None else (values - scale[0]) / scale[1]


def beyond_edges(name: str, smooth: Smooth, values: NDArray[Any]) -> tuple[NDArray[np.bool_], str]:
    """Which values (n,) of its column are beyond the edge of a smooth, where its basis says nothing, and a
    sentence to which where belongs.
    """
    low, high = smooth.edges
    outside = np.isfinite(values) & ((values < low) | (values > high))
    return outside, (
        f"{smooth.column!r} is beyond the edge of {name}, which reaches from {low:g} to {high:g}; write low= "
        f"and high= of {smooth} such that the rows lie between them, and fit anew: beyond in"
    )


def unscaled[T: NDArray[Any] | None](description: Description, target: T) -> T:
    """Values of the target, such as draws of it, from the scale of the model to the target's own unit."""
    scale = description.target_scale
    return target if scale is None or target is None else target * scale[1] + scale[0]  # type: ignore[return-value]


def remembered(description: Description, rows: Rows) -> dict[str, NDArray[Any]]:
    """The columns that the history is made of, the target among them, (n,) each."""
    target = np.zeros(rows.n) if rows.target is None else rows.target
    return {m.of: rows.columns.get(m.of, target) for m in description.history.values()}


def _time(description: Description, rows: Rows) -> NDArray[Any]:
    assert description.time is not None
    return rows.columns[description.time]


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
