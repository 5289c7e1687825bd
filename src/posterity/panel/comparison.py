"""What a delivery of rows brings to those that are inside a portfolio's posteriors already.

Rows are told apart by entity and time; without a time column by their values alone.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from posterity.panel.digests import row_digests
from posterity.panel.panel import Panel

type Kind = Literal["new", "late", "revised", "repeated"]
NEW, LATE, REVISED, REPEATED = "new", "late", "revised", "repeated"

WHOLE = 0.5
"""Share of an entity's known rows, from the first delivered time on, that a delivery must repeat for those
that it does not repeat to count as taken back."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """`kinds` (delivered rows,) says of every delivered row what it is: `new` after all the entity's known
    rows, `late` between or before them, `revised` where another row was known for its time, `repeated` where
    the very row was. `revised` and `vanished` (known rows,) are the known rows that it replaces or that a
    delivery of an entity's whole history left out.
    """

    kinds: NDArray[np.str_]
    revised: NDArray[np.bool_]
    vanished: NDArray[np.bool_]


def compare(known: Panel, delivered: Panel) -> Comparison:
    """Compare a delivery with the known rows; both panels have the same columns in the same roles."""
    position = {entity: i for i, entity in enumerate(known.entities)}
    code = np.array([position.get(e, -1) for e in delivered.entities], np.int64)
    theirs = np.repeat(code, delivered.counts)
    before, after = row_digests(known), row_digests(delivered)
    if known.time is None:
        return _by_value(np.repeat(np.arange(len(known.entities)), known.counts), theirs, before, after)
    times = _times(known), _times(delivered)
    at, late = np.full(len(theirs), -1), np.zeros(len(theirs), bool)
    for i, entity in enumerate(code.tolist()):
        if entity < 0:
            continue
        rows = slice(int(delivered.offsets[i]), int(delivered.offsets[i + 1]))
        begin, end = int(known.offsets[entity]), int(known.offsets[entity + 1])
        place = begin + np.searchsorted(times[0][begin:end], times[1][rows])
        found = (place < end) & (times[0][np.minimum(place, end - 1)] == times[1][rows])
        at[rows], late[rows] = np.where(found, place, -1), ~found & (place < end)
    there = at >= 0
    same = np.zeros(len(at), bool)
    same[there] = (before[at[there]] == after[there]).all(axis=1)
    kinds = np.where(there, np.where(same, REPEATED, REVISED), np.where(late, LATE, NEW))
    revised = np.zeros(known.n_rows, bool)
    revised[at[there & ~same]] = True
    repeated = np.zeros(known.n_rows, bool)
    repeated[at[there]] = True
    return Comparison(kinds, revised, _vanished(known, delivered, code, times, repeated))


def _vanished(
    known: Panel,
    delivered: Panel,
    code: NDArray[np.int64],
    times: tuple[NDArray[np.int64], NDArray[np.int64]],
    repeated: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Known rows that a delivery of most of an entity's history leaves out."""
    gone = np.zeros(known.n_rows, bool)
    for i, entity in enumerate(code.tolist()):
        if entity < 0:
            continue
        rows = slice(int(known.offsets[entity]), int(known.offsets[entity + 1]))
        covered = times[0][rows] >= times[1][delivered.offsets[i]]
        if covered.any() and repeated[rows][covered].mean() >= WHOLE:
            gone[rows] = covered & ~repeated[rows]
    return gone


def _by_value(
    ours: NDArray[np.int64],
    theirs: NDArray[np.int64],
    before: NDArray[np.uint64],
    after: NDArray[np.uint64],
) -> Comparison:
    """Rows without a time: as many as were known are repeated, the others are new."""
    left: dict[tuple[int, bytes], int] = {}
    for entity, row in zip(ours.tolist(), before, strict=True):
        key = entity, row.tobytes()
        left[key] = left.get(key, 0) + 1
    kinds = []
    for entity, row in zip(theirs.tolist(), after, strict=True):
        key = entity, row.tobytes()
        repeated = left.get(key, 0) > 0
        kinds.append(REPEATED if repeated else NEW)
        if repeated:
            left[key] -= 1
    none = np.zeros(len(ours), bool)
    return Comparison(np.array(kinds, dtype=np.str_), none, none)


def _times(panel: Panel) -> NDArray[np.int64]:
    """Times as whole numbers that are equal where the times are."""
    assert panel.time is not None
    times = panel.table.column(panel.time).to_numpy()
    if times.dtype.kind == "M":
        times = times.astype("datetime64[us]").astype(np.int64)
    if times.dtype.kind == "f":
        ordered = (times + 0.0).view(np.int64)  # floats of one sign sort as their bits do
        times = np.where(ordered < 0, np.iinfo(np.int64).min - ordered, ordered)
    return np.asarray(times, dtype=np.int64)
