"""One digest per entity, over all rows at once.

Every value becomes 64 bits (float64, or 128 bits of a stable hash for text) in one row-major matrix, so that
an entity is a contiguous run of bytes and costs one hash call. Rows are ordered by time and then by all
values, which makes the digest independent of the order they came in.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from posterity.panel.panel import Panel

_BYTES = 16  # 128 bits; as hexadecimal also short enough for an MLflow dataset digest (36 characters)


def entity_digests(
    arrays: Mapping[str, NDArray[Any]],
    *,
    entity_columns: Sequence[str],
    keys: Sequence[tuple[str, ...]],
    time: str | None,
    target: str | None,
    inputs: Sequence[str],
    dated: bool,
    offsets: NDArray[np.int64],
) -> NDArray[np.str_]:
    """Digests of shape (entities,), 32 hexadecimal digits each.

    `arrays` holds columns of shape (rows,), sorted by entity and then time; `keys` the entity values. Inputs
    are taken in the order of their names, so that the order in which a configuration mentions them does not
    matter.
    """
    ordered = [name for name in (time, target) if name is not None] + sorted(inputs)
    kinds = ["text" if arrays[name].dtype == object else "number" for name in ordered]
    header = {
        "entity": list(entity_columns),
        "time": time,
        "dated": dated,
        "target": target,
        "columns": [[name, kind] for name, kind in zip(ordered, kinds, strict=True)],
    }
    base = hashlib.blake2b(
        json.dumps(header, ensure_ascii=True).encode(), digest_size=_BYTES, person=b"posterity rows"
    )
    words = [word for name in ordered for word in _words(arrays[name])]
    matrix = _matrix(words, None if time is None else arrays[time], offsets)
    found = []
    for i, key in enumerate(keys):
        own = base.copy()
        own.update(json.dumps([*key, int(offsets[i + 1] - offsets[i])], ensure_ascii=True).encode())
        own.update(matrix[offsets[i] : offsets[i + 1]])
        found.append(own.hexdigest())
    return np.array(found, dtype=np.str_)


def row_digests(panel: "Panel") -> NDArray[np.uint64]:
    """Every row's time, target and inputs as words (rows, words): equal rows have equal words."""
    ordered = [n for n in (panel.time, panel.target) if n is not None] + sorted(panel.inputs)
    return np.stack([word for name in ordered for word in _words(panel.arrays[name])], axis=1)


def _words(column: NDArray[Any]) -> list[NDArray[np.uint64]]:
    """A column as 64-bit words: one for numbers, two for text."""
    if column.dtype == object:
        return _text_words(column)
    numbers = column + 0.0  # -0.0 becomes 0.0
    numbers[np.isnan(numbers)] = np.nan  # one bit pattern for every NaN
    return [numbers.astype("<f8").view("<u8")]


def _text_words(column: NDArray[Any]) -> list[NDArray[np.uint64]]:
    table: dict[str | None, int] = {}
    codes = np.fromiter((table.setdefault(v, len(table)) for v in column), dtype=np.int64, count=len(column))
    hashed = b"".join(
        hashlib.blake2b(b"null" if v is None else b"text" + v.encode(), digest_size=16).digest()
        for v in table
    )
    pairs = np.frombuffer(hashed, dtype="<u8").reshape(-1, 2)
    return [pairs[codes, 0], pairs[codes, 1]]


def _matrix(
    words: list[NDArray[np.uint64]], time: NDArray[np.float64] | None, offsets: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Words as a C-ordered matrix, rows of an entity in canonical order."""
    n = int(offsets[-1])
    matrix = np.empty((n, len(words)), dtype="<u8")
    for j, word in enumerate(words):
        matrix[:, j] = word
    tied = _tied_rows(time, offsets)
    if len(tied):
        # Rows that share entity and time stand next to each other: sort them among themselves, by every word.
        entity = np.searchsorted(offsets, tied, side="right")
        keys = [words[j][tied] for j in reversed(range(len(words)))]
        order = np.lexsort([*keys, *([] if time is None else [time[tied]]), entity])
        matrix[tied] = matrix[tied[order]]
    return matrix


def _tied_rows(time: NDArray[np.float64] | None, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of rows whose place within the entity is not settled by time."""
    n = int(offsets[-1])
    if time is None:
        return np.arange(n)
    same = (time[1:] == time[:-1]) | (np.isnan(time[1:]) & np.isnan(time[:-1]))
    starts = offsets[1:-1]
    same[starts - 1] = False
    tied = np.zeros(n, dtype=bool)
    tied[1:] |= same
    tied[:-1] |= same
    return np.flatnonzero(tied)
