"""The time column: whole numbers, decimal numbers, or instants in UTC with microseconds."""

import pyarrow as pa
import pyarrow.compute as pc

from posterity.panel.columns import NUMBER, trimmed, unlike
from posterity.panel.findings import Findings, listing, plural

TIME = pa.timestamp("us")
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"


def times(name: str, column: pa.ChunkedArray, spelled: bool, findings: Findings) -> pa.ChunkedArray | None:
    """The time as int64, float64 or timestamp[us] without zone (UTC); None and a problem for all else."""
    kind = column.type
    if pa.types.is_string(kind):
        return _spelled_times(name, column, spelled, findings)
    if pa.types.is_null(kind) or column.null_count == len(column):
        findings.problem(
            f"time {name!r} has no value in any of {plural(len(column), 'row')}; is it the right column?"
        )
        return None
    try:
        if pa.types.is_integer(kind):
            whole = column.cast(pa.int64())
            _warn_of_packed_dates(name, whole, findings)
            return whole
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return column.cast(pa.float64(), safe=False)
        if pa.types.is_timestamp(kind):
            if kind.tz is not None:
                findings.notice(f"time {name!r} has the zone {kind.tz}; it is kept in UTC")
            return column.cast(pa.timestamp("us", tz=kind.tz)).cast(TIME)
        if pa.types.is_date(kind):
            return column.cast(TIME)
    except pa.ArrowInvalid as error:
        findings.problem(
            f"time {name!r} does not fit: {error}; times are whole microseconds, within 290,000 years"
        )
        return None
    findings.problem(
        f"time {name!r} is {kind}; allowed are whole numbers, decimal numbers, dates and timestamps"
    )
    return None


def _spelled_times(
    name: str, column: pa.ChunkedArray, spelled: bool, findings: Findings
) -> pa.ChunkedArray | None:
    text = trimmed(column)
    if text.null_count == len(text):
        return times(name, pa.chunked_array([pa.nulls(len(text))]), spelled, findings)
    for kind in (pa.int64(), pa.float64(), TIME, pa.timestamp("us", tz="UTC")):
        try:
            found = text.cast(kind)
        except pa.ArrowInvalid:
            continue
        if not spelled:
            findings.notice(f"time {name!r} is stored as text and was read as {found.type}")
        if kind == pa.int64():
            _warn_of_packed_dates(name, found, findings)
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            findings.notice(f"time {name!r} has zone offsets; it is kept in UTC")
            return found.cast(TIME)
        return found
    dates, spelt_numbers = (len(text.drop_null()) - len(unlike(text, p)) for p in (_DATE, NUMBER))
    other = pc.filter(text, pc.invert(pc.match_substring_regex(text, f"{_DATE}|{NUMBER}"))).drop_null()
    what = f"{dates:,} dates, {spelt_numbers:,} numbers and {len(other):,} others"
    shown = f" such as {listing(pc.unique(other).to_pylist(), 3)}" if len(other) else ""
    findings.problem(
        f"time {name!r} cannot be put in order: it holds {what}{shown}; write all as numbers, or all as "
        "dates like 2024-02-01 (ISO 8601), with a zone offset everywhere or nowhere"
    )
    return None


def _warn_of_packed_dates(name: str, whole: pa.ChunkedArray, findings: Findings) -> None:
    extremes = pc.min_max(whole)
    low, high = extremes["min"].as_py(), extremes["max"].as_py()
    if low is not None and low >= 19_000_101 and high <= 21_001_231:
        findings.notice(
            f"time {name!r} looks like dates written as whole numbers ({low}); a model sees them as numbers"
        )
