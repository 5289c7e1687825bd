"""Entities of a table: their joined names, and the order of rows by entity and time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Grouping:
    """Distinct entities in code-point order of their names. `keys[i]` are the values behind `names[i]`; two
    keys may share a name (a collision, for the caller to refuse). `codes` gives each row its entity, shape
    (rows,).
    """

    names: list[str]
    keys: list[tuple[str, ...]]
    codes: NDArray[np.int64]


def group(columns: list[pa.ChunkedArray], separator: str) -> Grouping:
    """Group rows by text columns without missing values."""
    encoded = [column.combine_chunks().dictionary_encode() for column in columns]
    levels = [array.dictionary.to_pylist() for array in encoded]
    combined = encoded[0].indices.to_numpy().astype(np.int64)
    for array, level in zip(encoded[1:], levels[1:], strict=True):
        # Renumbering after every column keeps the product of their sizes within 64 bits.
        combined = _renumbered(combined * len(level) + array.indices.to_numpy())[1]
    first, combined = _renumbered(combined)
    parts = np.stack([array.indices.to_numpy()[first] for array in encoded])
    keys = [tuple(levels[j][code] for j, code in enumerate(row)) for row in parts.T]
    names = [separator.join(key) for key in keys]
    order = sorted(range(len(keys)), key=lambda i: (names[i], keys[i]))
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys))
    return Grouping([names[i] for i in order], [keys[i] for i in order], rank[combined])


def _renumbered(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each distinct code, and every row's number among them."""
    array = pa.array(codes).dictionary_encode()
    numbers = array.indices.to_numpy().astype(np.int64)
    first = np.empty(len(array.dictionary), dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(codes))[::-1]
    return first, numbers


def row_order(codes: NDArray[np.int64], time: pa.ChunkedArray | None) -> NDArray[np.int64] | None:
    """Stable order of rows by entity and time, missing times last; None where the rows are in it already."""
    if time is None:
        sorted_already = bool(np.all(codes[1:] >= codes[:-1]))
        return None if sorted_already else np.argsort(codes, kind="stable")
    key = time_key(time)
    later = (codes[1:] > codes[:-1]) | (
        (codes[1:] == codes[:-1]) & ((key[1:] >= key[:-1]) | np.isnan(key[1:]))
    )
    return None if bool(np.all(later)) else np.lexsort((key, codes))


def time_key(time: pa.ChunkedArray) -> NDArray[Any]:
    """Times as numbers that sort: int64 where none is missing, else float64 with NaN (sorted last)."""
    column = time.cast(pa.int64()) if pa.types.is_timestamp(time.type) else time
    return np.asarray(column.to_numpy())


def offsets(codes: NDArray[np.int64], entities: int) -> NDArray[np.int64]:
    """Where each entity's rows begin and end, shape (entities + 1,), for rows sorted by entity."""
    return np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=entities)))).astype(np.int64)


def same_time(time: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Whether each row has the time of the row before it, shape (rows - 1,); missing times equal nothing."""
    equal = pc.equal(time.slice(1), time.slice(0, len(time) - 1))
    return np.asarray(pc.fill_null(equal, False).to_numpy())
