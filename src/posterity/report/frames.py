"""What the frames of an animation show: one entity's rows and predictive bands, version by version."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from posterity.config.schema import percent
from posterity.errors import ResultError
from posterity.portfolio.ledger import ROWS
from posterity.portfolio.result import Result
from posterity.report.view import Band, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One version of an entity's posterior, over the rows of all versions in the order of x (n,).

    `inside` (n,) says which rows the posterior has seen. `update` is how it was made: fit, exact, carry,
    reweight or reset. `median` and `bands` are of the posterior predictive at every row.
    """

    entity: str
    version: int
    update: str
    status: str
    x: NDArray[Any]
    x_label: str
    observed: Floats
    y_label: str
    inside: NDArray[np.bool_]
    median: Floats
    bands: tuple[Band, ...]

    @property
    def n_rows(self) -> int:
        """Rows inside."""
        return int(self.inside.sum())


def versions(result: Result) -> tuple[Result, ...]:
    """A result with those it was refitted from, oldest first, as far back as their folders are there."""
    found = [result]
    while found[-1].version > 1:
        try:
            found.append(found[-1].as_of(found[-1].version - 1))
        except ResultError:
            break
    return tuple(reversed(found))


def frames(results: Sequence[Result], entity: str) -> tuple[Frame, ...]:
    """A frame for every result in which the entity has another posterior than in the one before.

    Rows are those of the last result. Raises ResultError for an unknown entity, a portfolio without a time
    column, and where no version has a posterior.
    """
    if not results:
        raise ResultError("no versions to animate; give at least one result")
    last = results[-1]
    last.entity_row(entity)
    time = last.config.data.time
    if time is None:
        raise ResultError(
            f"{last.path}: its rows have no time (data.time), so there is no order in which they came"
        )
    rows = last.entity_table(ROWS, entity).sort_by(time)
    found = tuple(_frames(results, entity, rows, time))
    if not found:
        raise ResultError(f"{last.path}: no version has a posterior of {entity[:60]!r} to draw")
    return found


def _frames(results: Sequence[Result], entity: str, rows: pa.Table, time: str) -> Iterator[Frame]:
    key = None
    for result in results:
        if entity not in set(result.table("entities.parquet")["entity"].to_pylist()):
            continue
        about = result.entity_row(entity)
        if about["fit_key"] == key or about["status"] == "failed":
            continue
        key = about["fit_key"]
        seen = result.entity_table(ROWS, entity)[time]
        inside = pc.is_in(rows[time], seen.cast(rows[time].type).combine_chunks()).to_numpy()
        predicted = _predicted(result, entity, rows, inside)
        yield Frame(
            entity=entity,
            version=result.version,
            update=str(about.get("update") or "fit"),
            status=str(about["status"]),
            x=_times(rows[time]),
            x_label=time,
            observed=_floats(rows[str(result.config.data.target)].to_pandas()),
            y_label=str(result.config.data.target),
            inside=inside,
            median=_floats(predicted["median"]),
            bands=tuple(
                Band(
                    mass,
                    _floats(predicted[f"lower_{percent(mass)}"]),
                    _floats(predicted[f"upper_{percent(mass)}"]),
                )
                for mass in result.interval_masses
            ),
        )


def _predicted(result: Result, entity: str, rows: pa.Table, inside: NDArray[np.bool_]) -> pd.DataFrame:
    """Median and bounds at every row under one version's posterior."""
    masses = result.interval_masses
    from posterity.portfolio.predict import described  # PyMC, which most pages do without

    if not described(result).context:
        return result.predict(rows, masses)
    # Each row depends on the one before: rows inside as they were explained, the others forecast from them.
    known = result.entity_table("intervals.parquet", entity).to_pandas().sort_values("time")
    ahead = rows.filter(pa.array(~inside))
    parts = [known, result.predict(ahead, masses)] if ahead.num_rows else [known]
    whole: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return whole


def _times(column: pa.ChunkedArray) -> NDArray[Any]:
    dated = pa.types.is_temporal(column.type)
    found: NDArray[Any] = (column.cast(pa.timestamp("us")) if dated else column).to_numpy()
    return found


def _floats(values: "pd.Series[Any]") -> Floats:
    return values.to_numpy(dtype=np.float64)
