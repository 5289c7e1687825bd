"""The panel as a value: slices, levels, pickles."""

import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posterity.errors import PanelError
from posterity.panel import Panel, read


@pytest.fixture
def panel() -> Panel:
    rng = np.random.default_rng(1)
    n = 4000
    table = pa.table(
        {
            "product": [f"P{i % 100:03d}" for i in range(n)],
            "region": ["north" if i % 200 < 100 else "south" for i in range(n)],
            "week": [i // 200 for i in range(n)],
            "sales": np.where(np.arange(n) == 0, np.nan, rng.normal(size=n)),
            "size": rng.integers(1, 4, size=n),
            "share": rng.random(size=n),
        }
    )
    return read(table, entity=["product", "region"], time="week", target="sales", columns=["size", "share"])


def test_rows_of_an_entity(panel):
    rows = panel.rows("P007 / south")
    assert rows.n == 20
    assert rows.time.tolist() == list(range(20))
    assert rows.time.dtype == np.int64
    assert set(rows.columns) == {"size", "share", "week"}
    assert all(a.dtype == np.float64 and a.shape == (20,) for a in (*rows.columns.values(), rows.target))
    assert panel.entity_values("P007 / south") == ("P007", "south")


def test_rows_are_read_only_and_pickle_small(panel):
    rows = panel.rows("P001 / north")
    with pytest.raises(ValueError, match="read-only"):
        rows.target[0] = 1.0
    assert len(pickle.dumps(rows)) < 2500  # 5 columns of 20 numbers, not 4,000
    again = pickle.loads(pickle.dumps(rows))
    np.testing.assert_array_equal(again.target, rows.target)


def test_an_unknown_entity_is_an_error_with_the_nearest_name(panel):
    with pytest.raises(
        PanelError, match=r"no entity 'P007 / nort'.*200 entities.*did you mean 'P007 / north'"
    ):
        panel.rows("P007 / nort")
    with pytest.raises(PanelError, match=r"no entity"):
        panel.select(["nobody"])
    with pytest.raises(PanelError, match="name at least one"):
        panel.select([])


def test_selection_keeps_order_rows_digests_and_reasons(panel):
    names = ["P050 / south", "P000 / north", "P050 / south", "P003 / north"]
    some = panel.select(names)
    assert some.entities == ("P000 / north", "P003 / north", "P050 / south")
    assert list(some.reasons) == ["P000 / north"]
    for name in some.entities:
        np.testing.assert_array_equal(some.rows(name).target, panel.rows(name).target)
        assert some.entity_values(name) == panel.entity_values(name)
    assert some.digests.tolist() == [panel.digests[panel.position(e)] for e in some.entities]
    assert panel.select(["P003 / north"]).reasons == {}


def test_a_selected_panel_pickles_without_the_rest(panel):
    assert panel.digests.shape == (200,)  # cached, and not in the pickle
    some = panel.select(["P003 / north"])
    assert len(pickle.dumps(some)) < 10_000
    again = pickle.loads(pickle.dumps(some))
    assert again.table.equals(some.table)
    assert again.digests.tolist() == some.digests.tolist()


def test_levels_are_sorted_and_typed(panel):
    assert panel.levels("region") == ("north", "south")
    assert panel.levels("size") == (1, 2, 3)
    assert all(type(v) is int for v in panel.levels("size"))
    assert panel.levels("week") == tuple(range(20))
    assert len(panel.levels("share")) == 4000
    assert len(panel.levels("sales")) == 3999  # the missing one is no level
    with pytest.raises(PanelError, match=r"no column 'regoin'.*did you mean 'region'"):
        panel.levels("regoin")


def test_one_line_per_entity(panel):
    assert panel.entity_table.column_names == ["product", "region"]
    assert panel.entity_table.num_rows == len(panel.entities) == len(panel.counts)
    assert panel.first_times.to_pylist() == [0] * 200
    assert panel.last_times.to_pylist() == [19] * 200
    assert panel.counts.sum() == panel.n_rows


def test_reasons_are_added_to_a_new_value(panel):
    other = panel.with_reasons({"P000 / north": "too odd", "P001 / north": "too even"}, ["two were odd"])
    assert other.reasons["P000 / north"].endswith("; too odd")
    assert other.reasons["P001 / north"] == "too even"
    assert other.notices[-1] == "two were odd"
    assert "P001 / north" not in panel.reasons
    with pytest.raises(PanelError, match=r"no entity"):
        panel.with_reasons({"nobody": "is missing"})


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).filter(str.strip)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(st.tuples(TEXT, TEXT, st.integers(-3, 3)), min_size=1, max_size=30))
def test_any_text_makes_entities_that_are_found_again(rows):
    """Hostile names included: every row is found under exactly one entity, in time order."""
    one, two, week = zip(*rows, strict=True)
    table = pa.table({"one": one, "two": two, "week": week, "row": range(len(rows))})
    names = {(a, b): f"{a} / {b}" for a, b in zip(one, two, strict=True)}
    if len(set(names.values())) < len(names):
        with pytest.raises(PanelError, match="share a name"):
            read(table, entity=["one", "two"])
        return
    panel = read(table, entity=["one", "two"], time="week", columns=["row"])
    assert panel.entities == tuple(sorted(names.values()))
    found = []
    for name in panel.entities:
        part = panel.rows(name)
        assert names[panel.entity_values(name)] == name
        assert list(part.time) == sorted(part.time)
        found += [(*panel.entity_values(name), week[int(i)], int(i)) for i in part.columns["row"]]
    assert sorted(found) == sorted((a, b, w, i) for i, (a, b, w) in enumerate(rows))
