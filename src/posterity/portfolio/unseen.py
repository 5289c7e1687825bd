"""Rows that no posterior knows yet: what results can be compared on without favour."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from posterity.errors import ResultError
from posterity.panel import Panel, read
from posterity.panel.reading import Source
from posterity.portfolio.ledger import ROWS
from posterity.portfolio.predict import described
from posterity.portfolio.result import Result


@dataclass(frozen=True, eq=False)
class Unseen:
    """The rows after everything that any of the results has inside, None if there are none; `seen` counts
    the others.
    """

    panel: Panel | None
    seen: int

    @property
    def rows(self) -> int:
        """How many rows are unseen."""
        return 0 if self.panel is None else self.panel.n_rows


def unseen(rows: Source, results: Sequence[Result]) -> Unseen:
    """Rows of a source that come after each entity's last row in every result.

    A row from before that, which a result happens not to have, is left out too: one result would forecast it
    and the other fill a gap. Without a time column, rows equal to one inside a posterior are left out, as
    often as it holds them.

    Raises ResultError where the results are not about the same columns, PanelError for rows that cannot be
    read.
    """
    data = results[0].config.data
    for other in results[1:]:
        theirs = other.config.data
        if (data.entity, data.time, data.target) != (theirs.entity, theirs.time, theirs.target):
            raise ResultError(
                f"{results[0].path} is about {_about(data)}, {other.path} about {_about(theirs)}: results of "
                "different panels cannot be compared; train the challenger on the columns of the champion"
            )
    wanted = dict.fromkeys(c for r in results for c in described(r).columns if c != data.time)
    panel = read(rows, entity=data.entity, time=data.time, target=data.target, columns=list(wanted))
    masks = [_later(panel, r) if data.time is not None else _others(panel, r) for r in results]
    mask = np.logical_and.reduce(masks)
    return Unseen(panel.taking(mask), int((~mask).sum()))


def _later(panel: Panel, result: Result) -> NDArray[np.bool_]:
    """Whether each row is after the last one that the result has of its entity."""
    table = result.table("entities.parquet")
    last = dict(zip(table["entity"].to_pylist(), _numbers(table["last_time"].to_numpy()), strict=True))
    assert panel.time is not None
    times = panel.table[panel.time].to_numpy()
    dated = table["last_time"].to_numpy().dtype.kind == "M"
    if dated != (times.dtype.kind == "M") and table["last_time"].null_count < len(table):
        raise ResultError(
            f"{result.path} has {'dates' if dated else 'numbers'} as times, the rows do not; give rows of "
            "the same panel"
        )
    ends = np.array([last.get(entity, np.nan) for entity in panel.entities])
    after: NDArray[np.bool_] = ~(_numbers(times) <= np.repeat(ends, panel.counts))
    return after


def _numbers(times: NDArray[Any]) -> NDArray[np.float64]:
    """Times as numbers that compare: microseconds for dates, NaN where there is none."""
    if times.dtype.kind == "M":
        found = times.astype("datetime64[us]").astype(np.int64).astype(np.float64)
        found[np.isnat(times)] = np.nan
        return found
    return pd.to_numeric(pd.Series(times)).to_numpy(dtype=np.float64, na_value=np.nan)


def _others(panel: Panel, result: Result) -> NDArray[np.bool_]:
    """Whether each row is another than those inside the result, of which each takes one away."""
    assert panel.target is not None
    names = [n for n in described(result).columns if n in panel.arrays]
    stored, target = result.intervals, "observed"
    if result.has(ROWS):  # after refits, the fits' own tables are about the newest rows
        stored, target = result.table(ROWS).to_pandas(), panel.target
    inside = Counter(zip(stored["entity"], stored[target], *(stored[n] for n in names), strict=True))
    entities = np.repeat(np.array(panel.entities, dtype=object), panel.counts)
    mask = np.ones(panel.n_rows, dtype=np.bool_)
    given = (panel.arrays[panel.target], *(panel.arrays[n] for n in names))
    for i, row in enumerate(zip(entities, *given, strict=True)):
        if inside[row] > 0:
            inside[row] -= 1
            mask[i] = False
    return mask


def _about(data: Any) -> str:
    return f"{data.target} by {', '.join(data.entity)}{f' over {data.time}' if data.time else ''}"
