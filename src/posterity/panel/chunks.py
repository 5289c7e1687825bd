"""Chunks: the spans of time that rows arrive in, counted from where a portfolio began.

A chunk is a whole number of units of the time column, or a calendar span such as `4W`. Chunk 0 begins at the
portfolio's first time, which later versions keep.
"""

import itertools
import re
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from posterity.errors import ConfigError
from posterity.panel.panel import Panel

_DAY = 86_400_000_000
_FIXED = {"h": _DAY // 24, "D": _DAY, "W": 7 * _DAY}
_MONTHS = {"M": 1, "Q": 3, "Y": 12}


@dataclass(frozen=True)
class Clock:
    """How time is cut: from `origin`, in spans of `every` units of `unit`.

    For numbers `unit` is 1. For dates it is microseconds, or 0 where spans are calendar months, of which
    `every` then counts; `origin` is microseconds since 1970. `dated` says which of the two.
    """

    origin: float
    every: float
    unit: float
    dated: bool

    def numbers(self, times: NDArray[Any]) -> NDArray[np.int64]:
        """The chunk of every time (n,)."""
        if self.dated and not self.unit:
            return _months(times, self.origin) // int(self.every)
        exact = times.astype("datetime64[us]").astype(np.int64) if self.dated else times
        # Decimal times such as 0.3 = 3 × 0.1 must not fall a rounding error before their chunk.
        return np.floor((exact - self.origin) / (self.every * self.unit) + 1e-9).astype(np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Self:
        """What `to_dict` wrote."""
        return cls(**found)


def clock(panel: Panel, every: int | str, known: Clock | None = None) -> Clock | None:
    """How the chunks of a panel are cut; None without a time column. `known` gives origin and unit.

    Raises ConfigError for a calendar span where time is a number. A plain number over dates counts the
    panel's usual step, the commonest distance between neighbouring times.
    """
    if panel.time is None:
        return None
    times = panel.table.column(panel.time).to_numpy()
    if not panel.dated:
        if isinstance(every, str):
            raise ConfigError(
                [
                    (
                        f"refit.every: {every!r} is a calendar span, and {panel.time!r} holds numbers; "
                        "write how many of their units make a chunk, such as 4"
                    )
                ]
            )
        return Clock(known.origin if known else float(times.min()), float(every), 1.0, False)
    micros = times.astype("datetime64[us]").astype(np.int64)
    origin = known.origin if known else float(micros.min())
    if isinstance(every, str):
        length, span = re.fullmatch(r"(\d+)(\w)", every).groups()  # type: ignore[union-attr]
        if span in _MONTHS:
            return Clock(origin, float(int(length) * _MONTHS[span]), 0.0, True)
        return Clock(origin, float(length), float(_FIXED[span]), True)
    unit = known.unit if known and known.unit else _step(micros)
    return Clock(origin, float(every), unit, True)


def steps(
    entity: NDArray[np.int64], chunk: NDArray[np.int64], last: NDArray[np.int64], *, dated: bool
) -> NDArray[np.int64]:
    """In which of the successive refits each arriving row takes part, from 0, (n,).

    `entity` (n,) is the position of a row's entity, `chunk` (n,) its chunk, `last` (entities,) the chunk that
    an entity's known rows end in (`NEVER`: it is new). Dates are everybody's: chunks follow each other for
    all. Numbers may count from each entity's own start, so there an entity's first new chunk is where its
    known rows end, and no entity takes more refits than the one with most chunks.
    """
    if not len(chunk):
        return np.zeros(0, np.int64)
    if dated:
        return np.unique(chunk, return_inverse=True)[1].astype(np.int64)
    order = np.argsort(entity, kind="stable")
    bounds = np.flatnonzero(np.diff(entity[order], prepend=-1, append=-1))
    groups = [order[a:b] for a, b in itertools.pairwise(bounds)]
    most = max(len(np.unique(chunk[rows])) for rows in groups) - 1
    common = last[last != NEVER]
    front = int(common.max()) if len(common) else int(chunk.min())
    found = np.zeros(len(chunk), np.int64)
    for rows in groups:
        known, first = int(last[entity[rows[0]]]), int(chunk[rows].min())
        if known == NEVER:
            known = min(front, first - 1)
        # What is left of a chunk that has begun, or the one after it.
        away = np.maximum(chunk[rows] - max(known, min(first, known + 1)), 0)
        found[rows] = np.maximum(away - max(int(away.max()) - most, 0), 0)
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


NEVER = np.iinfo(np.int64).min
"""The last chunk of an entity that has no rows yet."""


def _months(times: NDArray[Any], origin: float) -> NDArray[np.int64]:
    """Whole months since the origin's month."""
    begin = np.datetime64(int(origin), "us").astype("datetime64[M]").astype(np.int64)
    return np.asarray(times.astype("datetime64[M]").astype(np.int64) - begin)


def _step(micros: NDArray[np.int64]) -> float:
    """The commonest distance between neighbouring distinct times; a day where there is one time only."""
    gaps = np.diff(np.unique(micros))
    if not len(gaps):
        return float(_DAY)
    values, counts = np.unique(gaps, return_counts=True)
    return float(values[counts.argmax()])


def spans(panel: Panel, cut: Clock | None) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Runs of rows of one entity and chunk in a panel: entity (k,), chunk (k,), bounds (k + 1,).

    Without a clock every entity is one run, of chunk 0.
    """
    if cut is None or panel.time is None:
        count = len(panel.entities)
        return np.arange(count), np.zeros(count, np.int64), panel.offsets
    chunk = cut.numbers(panel.table.column(panel.time).to_numpy())
    entity = np.repeat(np.arange(len(panel.entities)), panel.counts)
    begins = np.flatnonzero((np.diff(entity, prepend=-1) != 0) | (np.diff(chunk, prepend=NEVER) != 0))
    return entity[begins], chunk[begins], np.append(begins, panel.n_rows)
