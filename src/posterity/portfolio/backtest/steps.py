"""Steps of real time: numbers, spans of fixed length, or calendar spans such as months."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from posterity.errors import ConfigError

type Times = NDArray[Any]
"""int64, float64 or datetime64[us]."""

_SPAN = re.compile(r"([1-9][0-9]{0,5})(h|D|W|M|Q|Y)")
_HOURS = {"h": 1, "D": 24, "W": 168}
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_NEAR = 1e-9
"""Part of a step by which a time may miss a boundary and still count as on it."""


@dataclass(frozen=True, slots=True)
class Steps:
    """One step ahead. `length` is in units of the time column, microseconds where it holds dates; `months`
    takes its place for calendar spans.
    """

    length: float
    months: int = 0
    dated: bool = False

    @classmethod
    def of(cls, step: float | str | None, times: Times, codes: NDArray[np.int64]) -> "Steps":
        """The step that is asked for: a number (days, where times are dates), a span such as 1W or 3M, or
        None for the panel's own spacing, the median gap between an entity's neighbouring times.

        `times` (n,) are sorted within entities, whose numbers are `codes` (n,). Raises ConfigError.
        """
        dated = times.dtype.kind == "M"
        match step:
            case None:
                return cls._own(times, codes, dated)
            case str() if dated and (found := _SPAN.fullmatch(step)):
                count, unit = int(found[1]), found[2]
                if unit in _MONTHS:
                    return cls(0.0, count * _MONTHS[unit], dated)
                return cls(count * _HOURS[unit] * 3_600e6, 0, dated)
            case int() | float() if step > 0 and np.isfinite(step):
                return cls(step * 86_400e6 if dated else float(step), 0, dated)
            case _:
                kind = "dates: a number of days or a span such as 1W, 3M" if dated else "numbers: a number"
                raise ConfigError([f"step {step!r} is no length of a step; times are {kind} above 0"])

    @classmethod
    def _own(cls, times: Times, codes: NDArray[np.int64], dated: bool) -> "Steps":
        numbers = times.astype(np.int64 if dated else np.float64).astype(np.float64)
        gaps = np.diff(numbers)[np.diff(codes) == 0]
        gaps = gaps[gaps > 0]
        if not len(gaps):
            raise ConfigError(["no entity has rows at two times, so the step is not known; name it (step=)"])
        length = float(np.median(gaps))
        return cls(length, _months(times, length / 86_400e6) if dated else 0, dated)

    def shift(self, time: Any, count: int) -> Any:
        """The instant `count` steps after `time` (before, where negative)."""
        if self.months:
            moved = pd.Timestamp(time) + pd.DateOffset(months=self.months * count)
            return np.datetime64(moved, "us")
        if self.dated:
            return time + np.timedelta64(round(self.length * count), "us")
        moved = time + self.length * count
        return type(time)(moved) if moved == int(moved) else moved

    def ahead(self, origin: Any, times: Times) -> NDArray[np.int64]:
        """How many steps each time (n,) lies ahead of the origin, rounded up: the first step is 1, what is
        known at the origin 0 or less.
        """
        if self.months:
            return self._calendar(origin, times)
        gaps: NDArray[np.float64] = (times - origin).astype(np.int64 if self.dated else np.float64)
        return np.ceil(gaps / self.length - _NEAR).astype(np.int64)

    def _calendar(self, origin: Any, times: Times) -> NDArray[np.int64]:
        if not len(times):
            return np.zeros(0, dtype=np.int64)
        days = 28.0 * self.months
        before = int((origin - times.min()) / np.timedelta64(1, "D") / days) + 2
        after = int((times.max() - origin) / np.timedelta64(1, "D") / days) + 2
        counts = np.arange(-max(before, 0), max(after, 0) + 1)
        bounds = np.array([self.shift(origin, int(k)) for k in counts])
        return counts[np.searchsorted(bounds, times, side="left")].astype(np.int64)

    def __str__(self) -> str:
        if self.months:
            return f"{self.months} month{'s' if self.months > 1 else ''}"
        return f"{self.length / 86_400e6:.6g} days" if self.dated else f"{self.length:.6g}"


def _months(times: Times, days: float) -> int:
    """Months of a calendar step where dates fall on the same day of every month, or on its last; else 0."""
    months = round(days / 30.44)
    if months < 1 or abs(days - 30.44 * months) > 0.05 * days:
        return 0
    stamps = pd.DatetimeIndex(np.unique(times))
    return months if stamps.day.nunique() == 1 or bool(stamps.is_month_end.all()) else 0


def origins_of(
    steps: Steps,
    times: Times,
    horizon: int,
    origins: int | Sequence[Any] | None,
    start: Any | None,
) -> tuple[Any, ...]:
    """The origins, ascending: those given, or the last ones (`LAST`, or as many as asked) that leave a whole
    horizon, from `start` on.

    Raises ConfigError for origins before the first time or at the last, and where none are left.
    """
    first, last = times.min(), times.max()
    if origins is not None and not isinstance(origins, int):
        given = tuple(sorted({_instant(one, times) for one in origins}))
        if not given or given[0] < first or given[-1] >= last:
            raise ConfigError(
                [f"origins must lie from {first} to before {last}, the panel's times; got {origins!r}"]
            )
        return given
    begin = first if start is None else _instant(start, times)
    most = (LAST if start is None else 10**6) if origins is None else origins
    found: list[Any] = []
    while len(found) < most:
        origin = steps.shift(last, -(horizon + len(found)))
        if origin < max(begin, first):
            break
        found.append(origin)
    if not found:
        raise ConfigError(
            [
                (
                    f"no origin leaves {horizon} steps of {steps} until {last}, the panel's last time, after "
                    f"{begin}; ask for a shorter horizon, an earlier start or at least 1 origin"
                )
            ]
        )
    return tuple(reversed(found))


def written(time: Any) -> str:
    """A time as people write it: dates without their midnight, whole numbers without decimals."""
    if isinstance(time, np.datetime64):
        return pd.Timestamp(time).isoformat(sep=" ").removesuffix(" 00:00:00")
    return f"{float(time):.15g}"


LAST = 20
"""How many origins there are where nobody says."""


def _instant(value: Any, times: Times) -> Any:
    try:
        if times.dtype.kind == "M":
            return np.datetime64(pd.Timestamp(value), "us")
        return times.dtype.type(value) if float(value).is_integer() else np.float64(value)
    except (TypeError, ValueError) as error:
        kind = "a date such as 2024-02-01" if times.dtype.kind == "M" else "a number"
        raise ConfigError([f"{value!r} is no time of this panel; give {kind}"]) from error
