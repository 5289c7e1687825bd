"""Names and notes from hostile texts."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posterity.tracking import MemoryTracker, NewRun, names
from posterity.tracking.entity import plain


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("lambda_val", "lambda_val"),
        ("theta[3]", "theta.3"),
        ("z[1, 2]", "z.1.2"),
        ("z[north]", "z.north"),
        ("z[東京]", "z.東京"),
        ("a b-c:d", "a b-c:d"),
    ],
)
def test_usual_labels_stay_readable(label: str, name: str) -> None:
    assert names.key(label) == name


def test_labels_that_lose_characters_stay_apart() -> None:
    found = {
        names.key(label) for label in ("z[a/b]", "z[a\\b]", "z[a?b]", "..", ".", "", "x" * 300, "x" * 301)
    }
    assert len(found) == 8


@example("..")
@example("../x")
@example("..a")
@given(st.text(max_size=300))
def test_any_label_is_a_name_that_trackers_take(label: str) -> None:
    tracker = MemoryTracker()
    run_id = tracker.open(NewRun(label))
    tracker.log(run_id, metrics={names.key(label): 1.0, f"mean/{names.key(label)}": 2.0})
    name = tracker.get(run_id).name
    assert name.isprintable()
    assert 0 < len(name) <= 120


@given(st.text(max_size=100))
def test_any_text_is_one_inert_cell_of_a_table(text: str) -> None:
    cell = plain(text, 60)
    assert not set(cell) & set("\\`*_{}[]<>|$~@^=\n\r")
    assert cell.count("&") == cell.count("&#")
