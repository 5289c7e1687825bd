"""Chunks of time, the steps that deliveries are taken in, and what a delivery brings."""

import numpy as np
import pandas as pd
import pytest

from posterity.errors import ConfigError
from posterity.panel import Panel, read
from posterity.panel.chunks import NEVER, Clock, clock, spans, steps
from posterity.panel.comparison import compare


def panel(rows: list[tuple[str, object, float]], time: str | None = "t") -> Panel:
    frame = pd.DataFrame(rows, columns=["e", "t", "y"])
    return read(frame, entity="e", time=time, target="y")


def dates(*texts: str) -> list[pd.Timestamp]:
    return [pd.Timestamp(t) for t in texts]


def test_numbers_are_cut_from_the_first_time_on() -> None:
    cut = clock(panel([("a", t, 0.0) for t in (3, 5, 9)]), 4)
    assert cut is not None
    assert cut.numbers(np.array([3, 6, 7, 10, 11, 2])).tolist() == [0, 0, 1, 1, 2, -1]
    assert Clock.from_dict(cut.to_dict()) == cut


def test_decimal_times_do_not_fall_before_their_chunk() -> None:
    times = np.arange(1, 31) / 10
    cut = Clock(0.1, 1.0, 0.1, False)
    assert cut.numbers(times).tolist() == list(range(30))
    # The twin: a plain division puts some one too low.
    assert np.floor((times - 0.1) / 0.1).tolist() != list(range(30))


@pytest.mark.parametrize(
    ("every", "found"),
    [
        ("1W", [0, 0, 1, 4]),
        ("1M", [0, 0, 0, 1]),
        ("1Q", [0, 0, 0, 0]),
        ("2D", [0, 3, 3, 15]),
        (1, [0, 6, 7, 30]),
    ],
)
def test_calendar_spans(every: int | str, found: list[int]) -> None:
    times = dates("2024-01-05", "2024-01-11", "2024-01-12", "2024-02-04")
    rows = [("a", t, 0.0) for t in times] + [("b", t, 0.0) for t in dates("2024-01-05", "2024-01-06")]
    read_in = panel(rows)
    cut = clock(read_in, every)
    assert cut is not None
    assert cut.numbers(read_in.table.column("t").to_numpy()[:4]).tolist() == found


def test_a_number_over_dates_counts_the_usual_step() -> None:
    weekly = pd.date_range("2024-01-01", periods=10, freq="W").delete(4)
    cut = clock(panel([("a", t, 0.0) for t in weekly]), 4)
    assert cut is not None
    assert cut.numbers(weekly.to_numpy()).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]


def test_later_versions_keep_the_origin() -> None:
    first = clock(panel([("a", t, 0.0) for t in (3, 4)]), 4)
    later = clock(panel([("a", t, 0.0) for t in (1, 4)]), 4, first)
    assert later == first


def test_a_calendar_span_over_numbers_is_refused() -> None:
    with pytest.raises(ConfigError, match="'4W' is a calendar span, and 't' holds numbers"):
        clock(panel([("a", 1, 0.0)]), "4W")
    assert clock(panel([("a", 1, 0.0)], time=None), "4W") is None


def test_spans_are_runs_of_one_entity_and_chunk() -> None:
    read_in = panel([("a", t, 0.0) for t in (0, 1, 4, 9)] + [("b", t, 0.0) for t in (0, 8)])
    entity, chunk, bounds = spans(read_in, clock(read_in, 4))
    assert entity.tolist() == [0, 0, 0, 1, 1]
    assert chunk.tolist() == [0, 1, 2, 0, 2]
    assert bounds.tolist() == [0, 2, 3, 4, 5, 6]


def step(entity: list[int], chunk: list[int], last: list[int], *, dated: bool = False) -> list[int]:
    return steps(np.array(entity), np.array(chunk), np.array(last), dated=dated).tolist()


def test_dates_are_taken_in_in_their_order_for_all() -> None:
    assert step([0, 0, 1], [5, 7, 7], [4, 4], dated=True) == [0, 1, 1]


@pytest.mark.parametrize(
    ("entity", "chunk", "last", "found"),
    [
        # A common clock: the third missed a chunk; the fourth is new and begins with the second chunk.
        ([0, 0, 1, 1, 2, 3], [3, 4, 3, 4, 4, 4], [2, 2, 2, NEVER], [0, 1, 0, 1, 1, 1]),
        # Each its own clock: all are in the same chunk of theirs.
        ([0, 1, 2], [13, 2, 0], [12, 1, NEVER], [0, 0, 0]),
        # One that comes back after long asks for no versions of its own.
        ([0, 1], [13, 13], [12, 5], [0, 0]),
        # What is left of a chunk that had begun comes before the next one.
        ([0, 0, 1, 1], [3, 4, 3, 4], [3, 3], [0, 1, 0, 1]),
        ([0, 0, 0], [0, 1, 2], [NEVER], [0, 1, 2]),
    ],
)
def test_numbers_may_be_everybodys_or_each_ones_own(
    entity: list[int], chunk: list[int], last: list[int], found: list[int]
) -> None:
    assert step(entity, chunk, last) == found


def test_what_a_delivery_brings() -> None:
    known = panel([("a", t, float(t)) for t in range(1, 9) if t != 4] + [("b", 1, 1.0)])
    rows = [("a", t, float(t)) for t in range(1, 10) if t != 6] + [("c", 1, 0.0)]
    rows[1] = ("a", 2, 2.5)
    found = compare(known, panel(rows))
    kinds = ["repeated", "revised", "repeated", "late", "repeated", "repeated", "repeated", "new", "new"]
    assert found.kinds.tolist() == kinds
    assert np.flatnonzero(found.revised).tolist() == [1]
    assert np.flatnonzero(found.vanished).tolist() == [4]  # week 6, as most of the history was delivered


def test_a_chunk_alone_takes_nothing_back() -> None:
    known = panel([("a", t, float(t)) for t in range(10)])
    late_and_new = compare(known, panel([("a", 3, 3.0), ("a", 10, 1.0), ("a", 11, 1.0)]))
    assert late_and_new.kinds.tolist() == ["repeated", "new", "new"]
    assert not late_and_new.vanished.any()


def test_rows_without_times_are_told_apart_by_their_values() -> None:
    known = panel([("a", 0, 1.0), ("a", 0, 1.0), ("a", 0, 2.0)], time=None)
    found = compare(known, panel([("a", 0, 1.0)] * 3 + [("a", 0, 3.0), ("b", 0, 1.0)], time=None))
    assert found.kinds.tolist() == ["repeated", "repeated", "new", "new", "new"]


def test_equal_dates_and_decimals_are_equal() -> None:
    moments = dates("2024-01-01", "2024-01-08")
    assert compare(
        panel([("a", t, 1.0) for t in moments]), panel([("a", t, 1.0) for t in moments])
    ).kinds.tolist()
    decimals = panel([("a", t, 1.0) for t in (-1.5, -0.5, 0.25)])
    found = compare(decimals, panel([("a", t, 1.0) for t in (-1.5, -1.0, 0.25, 2.0)]))
    assert found.kinds.tolist() == ["repeated", "late", "repeated", "new"]
