"""Digests depend on names and values alone, and on every one of them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posterity.panel import read

READING = {"entity": "store", "time": "week", "target": "sales", "columns": ["price", "size"]}
VALUES = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0])
ROW = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.integers(-2, 3),  # ties are wanted
    VALUES,
    VALUES,
    st.sampled_from(["S", "M", None]),
)


def table(rows):
    store, week, sales, price, size = zip(*rows, strict=True)
    return pa.table(
        {
            "store": store,
            "week": pa.array(week, pa.int64()),
            "sales": pa.array(sales, pa.float64()),
            "price": pa.array(price, pa.float64()),
            "size": pa.array(size, pa.string()),
        }
    )


def rows(**changed):
    base = {"store": "a", "week": 1, "sales": 1.0, "price": 2.0, "size": "S"}
    return tuple({**base, **changed}.values())


def digests(source, **changed):
    panel = read(source, **{**READING, **changed})
    return dict(zip(panel.entities, panel.digests.tolist(), strict=True))


def usable(data):
    """An input column without any value is refused for the whole panel; keep one."""
    return [*data, rows(store="z")]


@settings(max_examples=60, deadline=None)
@given(data=st.lists(ROW, min_size=1, max_size=12), order=st.randoms(use_true_random=False))
@pytest.mark.parametrize("time", ["week", None])
def test_the_order_of_rows_does_not_matter(time, data, order):
    data = usable(data)
    shuffled = list(data)
    order.shuffle(shuffled)
    assert digests(table(shuffled), time=time) == digests(table(data), time=time)


@settings(max_examples=40, deadline=None)
@given(data=st.lists(ROW, min_size=1, max_size=12), kept=st.sampled_from(["a", "b", "c"]))
def test_other_entities_do_not_matter(data, kept):
    data = [*usable(data), rows(store=kept)]
    alone = digests(table([r for r in data if r[0] == kept]))
    everyone = digests(table(data))
    assert alone[kept] == everyone[kept]


@settings(max_examples=40, deadline=None)
@given(data=st.lists(ROW, min_size=2, max_size=12), cut=st.integers(1, 11))
def test_chunks_and_selection_do_not_matter(data, cut):
    whole = table(usable(data))
    chunked = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    assert digests(chunked) == digests(whole)
    panel = read(whole, **READING)
    name = panel.entities[0]
    assert panel.select([name]).digests.tolist() == [panel.digests[0]]


def test_storage_does_not_matter():
    base = table([rows(), rows(week=2, sales=0.0)])
    whole = base.set_column(2, "sales", base.column("sales").cast(pa.int32()))
    minus = base.set_column(2, "sales", pa.array([1.0, -0.0]))
    floating = base.set_column(1, "week", base.column("week").cast(pa.float64()))
    for other in (whole, minus, floating, base.select(list(reversed(base.column_names)))):
        assert digests(other) == digests(base)
    assert digests(base, columns=["size", "price"]) == digests(base)


@pytest.mark.parametrize(
    "changed",
    [
        [rows(sales=np.nextafter(1.0, 2.0)), rows(week=2)],
        [rows(price=2.5), rows(week=2)],
        [rows(size="M"), rows(week=2)],
        [rows(size=None), rows(week=2)],
        [rows(), rows(week=3)],
        [rows(), rows(week=2), rows(week=2)],
        [rows()],
        [rows(sales=2.0, price=1.0), rows(week=2)],  # values change columns
        [rows(week=2), rows(week=1, sales=1.5)],
    ],
)
def test_every_value_matters(changed):
    assert digests(table(changed))["a"] != digests(table([rows(), rows(week=2)]))["a"]


def test_values_that_swap_rows_matter():
    one = [rows(sales=1.0, price=2.0), rows(week=2, sales=3.0, price=4.0)]
    two = [rows(sales=1.0, price=4.0), rows(week=2, sales=3.0, price=2.0)]
    assert digests(table(one)) != digests(table(two))


def test_names_and_roles_matter():
    base = table([rows(), rows(week=2)])
    found = [
        digests(base)["a"],
        digests(base.rename_columns(["store", "week", "sales", "cost", "size"]), columns=["cost", "size"])[
            "a"
        ],
        digests(base, target="price", columns=["sales", "size"])["a"],
        digests(base, columns=["price"])["a"],
        digests(base, time=None)["a"],
        digests(base, time=None, columns=["week", "price", "size"])["a"],
        digests(base, target=None)["a"],
        digests(base.rename_columns(["shop", "week", "sales", "price", "size"]), entity="shop")["a"],
        digests(base, entity=["store", "size"])["a / S"],
    ]
    assert len(set(found)) == len(found)


def test_entities_with_equal_rows_have_digests_of_their_own():
    assert len(set(digests(table([rows(store="a"), rows(store="b")])).values())) == 2


def test_days_as_dates_are_not_days_as_numbers():
    days = pa.array([19724, 19725], pa.int32())
    base = table([rows(), rows(week=2)])
    dated, numbered = (base.set_column(1, "week", c) for c in (days.cast(pa.date32()), days))
    assert digests(dated) != digests(numbered)


def test_digests_are_the_same_on_every_machine_and_in_every_release_of_this_engine():
    """Changing this value refits the world: raise ENGINE_VERSION with it."""
    found = digests(table([rows(), rows(week=2, sales=-0.5, size=None), rows(week=2, price=float("nan"))]))
    assert found == {"a": "c09e613bc119cd112d2220cd9bc0f4f6"}


def test_a_digest_is_128_bits_of_hexadecimal():
    digest = digests(table([rows()]))["a"]
    assert len(digest) == 32
    assert int(digest, 16) >= 0
