"""What a result holds of its entities in the form of parts, so that a later version can take it over."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from posterity.config.schema import percent
from posterity.portfolio.parts import flattened
from posterity.portfolio.result import Result
from posterity.portfolio.tables import FACTORS, OPTIONAL, PER_ENTITY

_OWN = (
    *("role", "n_rows", "first_time", "last_time", "prior", "version", "update", "parent_fit_key"),
    *("actionable", "actionable_width"),
)
"""Columns of entities.parquet that the next version writes anew."""


def lent(result: Result, entities: Sequence[str], reasons: Mapping[str, str]) -> pa.Table:
    """The fits of these entities as a part. `reasons` flags those that have one more."""
    wanted = pa.array(sorted(entities), pa.string())
    table = result.table("entities.parquet")
    table = table.take(pc.index_in(wanted, table["entity"].combine_chunks()))
    table = table.filter(pc.is_valid(table["fit_key"]))
    names = table["entity"]
    keys = [n for n in result.config.data.entity if n != "entity"]
    rows = table.drop_columns([n for n in (*keys, *_OWN) if n in table.column_names])
    rows = rows.append_column("prior", pa.nulls(len(names), pa.string()))
    rows = rows.append_column("prior_key", pa.nulls(len(names), pa.string()))
    rows = _flagged(rows, reasons)
    factors = result.table("factors.parquet")
    at = pc.index_in(names.combine_chunks(), factors["entity"].combine_chunks())
    for name in FACTORS.names:
        rows = rows.append_column(f"factor_{name}", factors[name].take(at))
    for name in (*PER_ENTITY, *(n for n in OPTIONAL if result.has(f"{n}.parquet"))):
        rows = rows.append_column(name, listed(result.table(f"{name}.parquet"), names))
    return rows.combine_chunks()


def listed(table: pa.Table, names: pa.ChunkedArray) -> pa.ListArray:
    """Rows of a table, sorted by entity, as a list (perhaps empty) for each of these names, sorted too."""
    return _lists(*_coded(table, names), len(names))


def _coded(table: pa.Table, names: pa.ChunkedArray) -> tuple[pa.Table, NDArray[np.int32]]:
    """Rows of these entities without the column `entity`, and which of the names each belongs to."""
    code = pc.index_in(table["entity"], names.combine_chunks())
    kept = pc.is_valid(code)
    return table.filter(kept).drop_columns(["entity"]), code.filter(kept).to_numpy()


def _lists(rows: pa.Table, codes: NDArray[np.int32], count: int) -> pa.ListArray:
    """Rows, sorted by code, as one list for every code below `count`."""
    offsets = pa.array(np.searchsorted(codes, np.arange(count + 1)), pa.int32())
    return pa.ListArray.from_arrays(offsets, rows.combine_chunks().to_struct_array().combine_chunks())


def _flagged(rows: pa.Table, reasons: Mapping[str, str]) -> pa.Table:
    """With a further reason for those that have one; a sound posterior is flagged by it."""
    if not reasons:
        return rows
    status, reason = rows["status"].to_pylist(), rows["reason"].to_pylist()
    for i, entity in enumerate(rows["entity"].to_pylist()):
        if entity in reasons:
            status[i] = "flagged" if status[i] == "ok" else status[i]
            said = reason[i].split("; ") if reason[i] else []
            reason[i] = "; ".join(dict.fromkeys([*said, *reasons[entity].split("; ")]))
    for name, values in (("status", status), ("reason", reason)):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, pa.string()))
    return rows


def extended(result: Result, fresh: pa.Table, intervals: Sequence[float]) -> pa.Table:
    """Parts of carried posteriors, made of their new rows alone, with what is known of the old rows: their
    intervals, as they were when those rows came, and the prior that the entity once began with.

    Coverage and error are those of all rows.
    """
    fresh = fresh.sort_by("entity")
    names = fresh["entity"].combine_chunks()
    old, theirs = _coded(result.table("intervals.parquet"), fresh["entity"])
    new, ours = _coded(flattened(fresh, "intervals"), fresh["entity"])
    codes = np.concatenate([theirs, ours])
    order = np.argsort(codes, kind="stable")
    whole = pa.concat_tables([old, new.select(old.column_names).cast(old.schema)]).take(pa.array(order))
    lists = _lists(whole, codes[order], len(names))
    columns = {"intervals": lists, **_scores(whole, lists.offsets.to_numpy(), intervals)}
    about = result.table("entities.parquet")
    at = pc.index_in(names, about["entity"].combine_chunks())
    columns["prior_rows"] = about["prior_rows"].take(at)
    factors = result.table("factors.parquet")
    place = pc.index_in(names, factors["entity"].combine_chunks())
    for name in ("prior_mean", "prior_covariance"):
        columns[f"factor_{name}"] = factors[name].take(place)
    for name in ("prior", "prior_key"):
        columns[name] = pa.nulls(len(names), pa.string())
    for name, values in columns.items():
        fresh = fresh.set_column(fresh.column_names.index(name), name, values)
    return fresh


def _scores(rows: pa.Table, offsets: NDArray[np.int32], intervals: Sequence[float]) -> dict[str, pa.Array]:
    """Coverage at every mass and mean absolute error of the median, an entity each."""
    observed = rows["observed"].to_numpy()

    def mean(values: NDArray[np.float64]) -> pa.Array:
        return pa.array(np.add.reduceat(values, offsets[:-1]) / np.diff(offsets), pa.float64())

    found = {"mae": mean(np.abs(rows["median"].to_numpy() - observed))}
    for mass in intervals:
        name = percent(mass)
        low, high = rows[f"lower_{name}"].to_numpy(), rows[f"upper_{name}"].to_numpy()
        found[f"coverage_{name}"] = mean(((low <= observed) & (observed <= high)).astype(np.float64))
    if "predicted" in rows.column_names:
        right = (rows["predicted"].to_numpy() == observed).astype(np.float64)
        found["accuracy"] = mean(right)
        if "abstained" in rows.column_names:
            sure = 1.0 - rows["abstained"].to_numpy(zero_copy_only=False).astype(np.float64)
            answered = np.add.reduceat(sure, offsets[:-1])
            found["answered"] = mean(sure)
            with np.errstate(invalid="ignore"):  # nobody answered: nothing to be right about
                share = np.add.reduceat(sure * right, offsets[:-1]) / answered
            found["accuracy_answered"] = pa.array(share, pa.float64(), mask=answered == 0)
    return found
