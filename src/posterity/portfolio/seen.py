"""The observed rows that a prediction starts from."""

from typing import TYPE_CHECKING

import numpy as np

from posterity.models import Description
from posterity.panel import Rows
from posterity.portfolio.ledger import ROWS

if TYPE_CHECKING:
    from posterity.portfolio.result import Result


def rows_before(result: "Result", description: Description, entity: str, rows: Rows) -> Rows | None:
    """The last observed rows before the first of `rows`, as many as the model looks back at, or None.

    They are those inside the posteriors; a result made before rows were kept has them beside its intervals.
    """
    data, kept = result.config.data, result.has(ROWS)
    seen = result.entity_table(ROWS if kept else "intervals.parquet", entity)
    assert data.time is not None
    assert rows.time is not None
    times = seen[data.time if kept else "time"].to_numpy()
    target = seen[data.target if kept else "observed"].to_numpy().astype(np.float64)
    at = np.flatnonzero((times < rows.time[0]) & np.isfinite(target))[-description.context :]
    if not len(at):
        return None
    dated = times.dtype.kind == "M"
    numeric = times.astype("datetime64[us]").astype(np.float64) / 86_400e6 if dated else times
    columns = {
        name: seen[name].to_numpy(zero_copy_only=False)[at]
        for name in description.columns
        if name in seen.column_names and name != data.time
    }
    columns[data.time] = numeric[at].astype(np.float64)
    return Rows(columns, target[at], times[at], len(at))
