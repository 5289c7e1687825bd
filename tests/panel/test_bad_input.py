"""The table of bad input: each case is an error of the panel or a reason of an entity; nothing is lost."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posterity.config.distributions import Support
from posterity.errors import PanelError
from posterity.panel import checks, read


def good(**changed):
    """Two entities of three rows, with columns replaced, added, or (None) taken away."""
    columns = {
        "store": ["a", "a", "a", "b", "b", "b"],
        "week": [1, 2, 3, 1, 2, 3],
        "sales": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "price": [9.0, 8.0, 7.0, 9.0, 8.0, 7.0],
    }
    return pa.table({k: v for k, v in {**columns, **changed}.items() if v is not None})


def frame(**changed):
    data = {"store": list("aaabbb"), "week": [1, 2, 3] * 2, "sales": [1.0, 2, 3, 4, 5, 6], "price": [9.0] * 6}
    return pd.DataFrame({**data, **changed})


def twice_named():
    table = good()
    return table.append_column("sales", table.column("price"))


READING = {"entity": "store", "time": "week", "target": "sales", "columns": ["price"]}
HOURS = pa.array([timedelta(hours=i) for i in range(6)])

REFUSED = {
    "missing column": (good(sales=None), {}, ["no column 'sales'", "'week'"]),
    "misspelt column": (good(), {"target": "slaes"}, ["no column 'slaes'", "did you mean 'sales'?"]),
    "other case": (good(), {"target": "Sales"}, ["did you mean 'sales'?"]),
    "several missing at once": (good(), {"target": "slaes", "time": "weak"}, ["'slaes'", "'weak'"]),
    "column twice": (twice_named(), {}, ["'sales' is there 2 times"]),
    "no rows": (good().slice(0, 0), {}, ["no rows"]),
    "null entity": (good(store=["a", None, "a", "b", None, "b"]), {}, ["'store' is empty in 2 rows of 6"]),
    "empty entity": (good(store=["a", "", "a", "b", "  ", "b"]), {}, ["'store' is empty in 2 rows of 6"]),
    "NaN entity": (good(store=[1.0, np.nan, 1, 2, 2, 2]), {}, ["'store' is empty in 1 row of 6"]),
    "all entities null": (good(store=pa.nulls(6)), {}, ["'store' is empty in 6 rows of 6"]),
    "fractional entity": (good(store=[1.5, 1, 1, 2, 2, 2]), {}, ["1 value other than whole", "1.5"]),
    "infinite entity": (good(store=[np.inf, 1, 1, 2, 2, 2]), {}, ["other than whole numbers", "inf"]),
    "decimal entity": (good(store=[Decimal("1.5")] * 6), {}, ["other than whole numbers"]),
    "huge decimal entity is fine, half of one is not": (
        good(store=[Decimal("1e25")] * 5 + [Decimal("0.5")]),
        {},
        ["0.5"],
    ),
    "floats too coarse to name": (
        good(store=[2.0**53, 2.0**53 + 2, 1, 1, 1, 1]),
        {},
        ["2 values other than whole"],
    ),
    "surrogate": (
        frame(store=pd.Series(["\ud800"] * 6, dtype=object)),
        {},
        ["'store' cannot be read", "surrogates"],
    ),
    "periods": (
        frame(week=pd.period_range("2024-01", periods=6, freq="M")),
        {},
        ["'week' is extension", "allowed"],
    ),
    "integers beyond 64 bits": (frame(sales=[10**30, 1, 2, 3, 4, 5]), {}, ["'sales' cannot be read"]),
    "duration entity": (good(store=HOURS), {}, ["'store' is duration", "write it as text"]),
    "list entity": (good(store=[["a"]] * 6), {}, ["'store' is list"]),
    "bytes entity not UTF-8": (
        good(store=pa.array([b"\xff\xfe"] * 6, pa.binary()).view(pa.string())),
        {},
        ["not UTF-8"],
    ),
    "1 and '1'": (
        frame(store=[1, "1", 1, 2, 2, 2]),
        {},
        ["mixes int and str", "1 value cannot be told apart", "'1'"],
    ),
    "1 and True as text": (frame(store=["True", True, "x", "x", "x", "x"]), {}, ["bool and str", "'True'"]),
    "text target": (
        good(sales=["1", "2", "x", "4", "y", "y"]),
        {},
        ["'sales' holds text in 3 rows of 6", "'x', 'y'"],
    ),
    "decimal comma": (good(sales=["1,5"] * 6), {}, ["a decimal comma? write a point"]),
    "mixed Python target": (frame(sales=[1.0, "x", 3, 4, 5, 6]), {}, ["'sales' cannot be read", "1 str"]),
    "empty target": (good(sales=pa.nulls(6)), {}, ["target 'sales' has no value in any of 6 rows"]),
    "empty target, typed": (good(sales=pa.nulls(6, pa.float64())), {}, ["no value in any of 6 rows"]),
    "empty text target": (good(sales=["", "NA", "", "", "", ""]), {}, ["no value in any of 6 rows"]),
    "date target": (good(sales=[date(2024, 1, 1)] * 6), {}, ["target 'sales' is date32", "not a number"]),
    "duration target": (good(sales=HOURS), {}, ["duration", "number of days or hours"]),
    "duration input": (good(price=HOURS), {}, ["input 'price' is duration", "number of days or hours"]),
    "date input": (good(price=[datetime(2024, 1, 1)] * 6), {}, ["input 'price' is timestamp", "time column"]),
    "list input": (good(price=[[1.0]] * 6), {}, ["input 'price' is list", "write it as a number"]),
    "struct input": (good(price=[{"a": 1.0}] * 6), {}, ["input 'price' is struct"]),
    "empty input": (good(price=pa.nulls(6, pa.string())), {}, ["input 'price' has no value"]),
    "empty time": (good(week=pa.nulls(6)), {}, ["time 'week' has no value"]),
    "Boolean time": (good(week=[True, False] * 3), {}, ["time 'week' is bool", "allowed are whole numbers"]),
    "time of day": (good(week=[time(1)] * 6), {}, ["time 'week' is time64"]),
    "duration time": (good(week=HOURS), {}, ["time 'week' is duration"]),
    "time of dates and numbers": (
        good(week=["2024-01-01", "2", "3", "2024-01-02", "2", "3"]),
        {},
        ["cannot be put in order", "2 dates, 4 numbers and 0 others"],
    ),
    "time of words": (
        good(week=["w1", "w2", "w3"] * 2),
        {},
        ["6 others such as 'w1', 'w2', 'w3'", "ISO 8601"],
    ),
    "time day first": (good(week=["31/01/2024"] * 6), {}, ["6 others such as '31/01/2024'"]),
    "time of mixed Python types": (frame(week=[1, "2", 3, 1, 2, 3]), {}, ["'week' cannot be read"]),
    "time beyond int64": (good(week=pa.array([2**63] * 6, pa.uint64())), {}, ["time 'week' does not fit"]),
    "time in nanoseconds": (
        good(week=pa.array([1] * 6, pa.timestamp("ns"))),
        {},
        ["time 'week' does not fit", "whole microseconds"],
    ),
    "colliding names": (
        good(
            store=["a / b", "a / b", "a / b", "a", "a", "a"], town=["c", "c", "c", "b / c", "b / c", "b / c"]
        ),
        {"entity": ["store", "town"]},
        ["1 pair of different entities would share a name", "('a', 'b / c')", "('a / b', 'c')"],
    ),
    "no entity column": (good(), {"entity": []}, ["no entity column is named"]),
    "entity column twice": (good(), {"entity": ["store", "store"]}, ["named twice: store"]),
    "entity is time": (good(), {"entity": "week"}, ["both an entity column and the time"]),
    "entity is target": (good(), {"entity": "sales"}, ["both an entity column and the target"]),
    "time is target": (good(), {"target": "week"}, ["both the time and the target"]),
    "target is input": (good(), {"columns": ["sales"]}, ["target 'sales' is also an input"]),
    "reserved entity column": (good(status=list("abcdef")), {"entity": "status"}, ["'status'", "rename it"]),
    "reserved coverage column": (
        good(coverage_90=list("abcdef")),
        {"entity": "coverage_90"},
        ["'coverage_90'"],
    ),
    "reserved among several": (
        good(entity=list("abcdef")),
        {"entity": ["entity", "store"]},
        ["entity column 'entity' has the name of a column of the result tables"],
    ),
    "reserved input": (good(mean=[1.0] * 6), {"columns": ["mean"]}, ["input column 'mean'", "rename it"]),
    "reserved time": (good(lower_90=[1, 2, 3] * 2), {"time": "lower_90"}, ["time column 'lower_90'"]),
    "input called time": (good(time=[1.0] * 6), {"columns": ["time"]}, ["input column 'time'"]),
    "index instead of column": (
        frame().set_index("store"),
        {},
        ["'store' is the frame's index", "reset_index()"],
    ),
    "a list of rows": ([1, 2, 3], {}, ["cannot read a panel from a list", "pandas DataFrame"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_panel_is_refused_with_a_sentence_that_teaches(case):
    source, changed, fragments = REFUSED[case]
    with pytest.raises(PanelError) as caught:
        read(source, **{**READING, **changed})
    for fragment in fragments:
        assert fragment in str(caught.value)


REASONED = {
    "null target": (
        good(sales=[1.0, None, None, 4, 5, 6]),
        "target 'sales' is missing in 2 of 3 rows (first: at week 2)",
    ),
    "NaN target": (
        good(sales=[np.nan, 2.0, 3, 4, 5, 6]),
        "target 'sales' is missing in 1 of 3 rows (first: at week 1)",
    ),
    "infinite target": (good(sales=[1.0, 2, -np.inf, 4, 5, 6]), "target 'sales' is infinite in 1 of 3 rows"),
    "null input": (good(price=[None, 2.0, 3, 4, 5, 6]), "input 'price' is missing in 1 of 3 rows"),
    "infinite input": (good(price=[np.inf, 2.0, 3, 4, 5, 6]), "input 'price' is infinite in 1 of 3 rows"),
    "null category": (good(price=["x", None, "x", "y", "y", "y"]), "input 'price' is missing in 1 of 3 rows"),
    "empty category": (good(price=["x", "", "x", "y", "y", "y"]), "input 'price' is missing in 1 of 3 rows"),
    "null time": (good(week=[1, None, None, 1, 2, 3]), "time 'week' is missing in 2 of 3 rows"),
    "infinite time": (good(week=[1.0, 2, np.inf, 1, 2, 3]), "time 'week' is infinite in 1 of 3 rows"),
    "duplicate time": (good(week=[1, 2, 2, 1, 2, 3]), "a time is repeated in 1 of 3 rows (first: at week 2)"),
    "every row twice": (
        good(week=[1, 1, 1, 1, 2, 3]),
        "a time is repeated in 2 of 3 rows (first: at week 1)",
    ),
    "duplicate date": (
        good(week=[datetime(2024, 1, 1)] * 2 + [datetime(2024, 1, d) for d in (2, 3, 4, 5)]),
        "repeated in 1 of 3 rows (first: at week 2024-01-01 00:00:00)",
    ),
}


@pytest.mark.parametrize("case", REASONED)
def test_a_bad_entity_gets_a_reason_and_the_others_stay(case):
    source, reason = REASONED[case]
    panel = read(source, **READING)
    assert list(panel.reasons) == ["a"]
    assert reason in panel.reasons["a"]
    assert panel.n_rows == 6  # nothing is dropped
    assert any("1 entity cannot be fitted; a: " in notice for notice in panel.notices)


OUTSIDE = {
    Support.POSITIVE: ([0.0, 1, 2], "positive numbers", "1 of 3", "0 at week 1"),
    Support.NONNEGATIVE: ([0.0, -1, -2], "zero and positive", "2 of 3", "-1 at week 2"),
    Support.UNIT: ([0.5, 1, 0], "between 0 and 1", "2 of 3", "1 at week 2"),
    Support.COUNT: ([0.0, 1.5, -1], "counts 0, 1, 2", "2 of 3", "1.5 at week 2"),
    Support.POSITIVE_COUNT: ([0.0, 1, 2], "counts 1, 2, 3", "1 of 3", "0 at week 1"),
    Support.BINARY: ([0.0, 1, 2], "0 and 1", "1 of 3", "2 at week 3"),
    Support.BINOMIAL: ([0.0, 10, 7], "counts from 0 to n", "1 of 3", "10 at week 2"),
    Support.CIRCULAR: ([0.0, 3.1, 3.2], "angles", "1 of 3", "3.2 at week 3"),
}


@pytest.mark.parametrize("support", OUTSIDE, ids=lambda s: s.name)
def test_rows_outside_the_support_are_a_reason(support, recwarn):
    bad, allowed, count, example = OUTSIDE[support]
    fine = [0.5, 0.5, 0.5] if support is Support.UNIT else [1.0, 1.0, 1.0]
    panel = checks.support(read(good(sales=[*bad, *fine]), **READING), support, "price")
    assert list(panel.reasons) == ["a"]
    for fragment in (allowed, f"{count} rows", example):
        assert fragment in panel.reasons["a"]
    assert not recwarn


@pytest.mark.parametrize("support", [Support.REAL, Support.OTHER])
def test_every_finite_number_is_inside_the_widest_supports(support):
    panel = read(good(sales=[-1e300, 0, 1e-300, 1, 2, 3]), **READING)
    assert checks.support(panel, support).reasons == {}
    assert any("beyond 1e100 in 1 row" in n for n in panel.notices)


def test_a_missing_target_is_not_reported_as_outside_the_support():
    panel = checks.support(read(good(sales=[None, 1.0, 2, 3, 4, 5]), **READING), Support.POSITIVE)
    assert "outside" not in panel.reasons["a"]


def test_trials_must_be_counts_in_a_column_that_was_read():
    panel = read(good(price=[9.5, 8, 7, 9, 8, 7]), **READING)
    assert (
        "number of trials 'price' is not a count in 1 of 3 rows"
        in checks.support(panel, Support.BINOMIAL, "price").reasons["a"]
    )
    with pytest.raises(PanelError, match=r"no column 'prize' for the number of trials.*did you mean 'price'"):
        checks.support(panel, Support.BINOMIAL, "prize")
    with pytest.raises(PanelError, match="holds text"):
        checks.support(read(good(price=list("xyzxyz")), **READING), Support.BINOMIAL, "price")
    assert list(checks.support(panel, Support.BINOMIAL, 3).reasons) == ["b"]


def test_several_reasons_of_one_entity_are_all_told():
    panel = read(good(sales=[None, 1.0, 2, 3, 4, 5], week=[1, 1, 2, 1, 2, 3]), **READING)
    assert "missing" in panel.reasons["a"]
    assert "repeated" in panel.reasons["a"]


NOTICED = {
    "one row": (
        good(store=["a", "b", "b", "b", "b", "b"], week=[1, 1, 2, 3, 4, 5]),
        "1 entity has one row only: 'a'",
    ),
    "constant target": (good(sales=[1.0, 1, 1, 1, 2, 3]), "1 entity has a target that never changes: 'a'"),
    "blanks": (good(store=[" a", " a", " a", "b", "b", "b"]), "1 entity value with blanks at an end"),
    "line break": (good(store=["a\n", "a\n", "a\n", "b", "b", "b"]), "line breaks or control characters"),
    "NUL": (good(store=["a\0", "a\0", "a\0", "b", "b", "b"]), "control characters: 'a\\x00'"),
    "very long": (good(store=["a" * 5000] * 3 + ["b"] * 3), "longer than 200 characters"),
    "same look": (
        good(store=["caf\u00e9"] * 3 + ["cafe\u0301"] * 3),
        "'cafe\\u0301', 'caf\\xe9'",
    ),
    "mixed types apart": (frame(store=[1, 1, 1, "b", "b", "b"]), "mixes int and str; all were read as text"),
    "packed dates": (
        good(week=[20240101, 20240102, 20240103] * 2),
        "dates written as whole numbers (20240101)",
    ),
    "numbers as text": (good(sales=["1", "2", "3", "4", "5", "6"]), "stored as text and was read as numbers"),
    "float entity": (
        good(store=[1.0, 1, 1, 2, 2, 2]),
        "stored as floats; its whole numbers were read as text",
    ),
    "huge integers": (good(price=[2**53 + 1, 1, 2, 3, 4, 5]), "from 2**53 on"),
}


@pytest.mark.parametrize("case", NOTICED)
def test_what_is_surprising_but_usable_is_noticed_and_fitted(case):
    source, fragment = NOTICED[case]
    panel = read(source, **READING)
    assert any(fragment in notice for notice in panel.notices), panel.notices
    assert panel.reasons == {}
    assert panel.n_rows == 6


def test_a_separator_in_values_is_noticed_while_no_two_names_collide():
    panel = read(good(town=["x / y"] * 6), **{**READING, "entity": ["store", "town"]})
    assert panel.entities == ("a / x / y", "b / x / y")
    assert any("with ' / '" in notice for notice in panel.notices)
    assert not any("with ' / '" in n for n in read(good(store=["x / y"] * 3 + ["b"] * 3), **READING).notices)


def bad_file(folder, case):  # noqa: C901 - a table of cases, however long
    path = folder / case
    match case:
        case "absent.parquet" | "nowhere":
            pass
        case "panel.xlsx":
            path.write_bytes(b"PK")
        case "empty.csv" | "empty.parquet":
            path.write_bytes(b"")
        case "text.parquet":
            path.write_text("store,week\n")
        case "cut.parquet":
            pq.write_table(good(), path)
            path.write_bytes(path.read_bytes()[:-40])
        case "ragged.csv":
            path.write_text("store,week,sales,price\na,1,2,3\na,2\n")
        case "header.csv":
            path.write_text("store,week,sales,price\n")
        case "twice.csv":
            path.write_text("store,week,sales,sales,price\na,1,2,3,4\n")
        case "broken.csv.gz":
            path.write_bytes(b"\x1f\x8b\x08nonsense")
        case "folder" | "others":
            path.mkdir()
            if case == "others":
                (path / "readme.txt").write_text("hello")
        case "mixed":
            path.mkdir()
            pq.write_table(good(), path / "a.parquet")
            (path / "b.csv").write_text("store,week,sales,price\na,9,1,1\n")
        case "types":
            path.mkdir()
            pq.write_table(good(), path / "a.parquet")
            pq.write_table(good(store=[1, 1, 1, 2, 2, 2]), path / "b.parquet")
        case "columns":
            path.mkdir()
            pq.write_table(good(), path / "a.parquet")
            pq.write_table(good(price=None, prices=[1.0] * 6), path / "b.parquet")
    return path


FILES = {
    "absent.parquet": ["no file or folder", "check the path"],
    "nowhere": ["no file or folder"],
    "panel.xlsx": ["'panel.xlsx' is of no known format", ".parquet", ".csv"],
    "empty.csv": ["empty.csv: the file is empty"],
    "empty.parquet": ["empty.parquet: cannot be read as Parquet"],
    "text.parquet": ["text.parquet: cannot be read as Parquet", "write the file again"],
    "cut.parquet": ["cut.parquet: cannot be read as Parquet"],
    "ragged.csv": ["cannot be read as CSV", "every line needs 4 cells"],
    "header.csv": ["no rows"],
    "twice.csv": ["'sales' is there 2 times"],
    "broken.csv.gz": ["broken.csv.gz: cannot be read"],
    "folder": ["no data file in the folder", "it is empty"],
    "others": ["no data file in the folder", "1 other file"],
    "mixed": ["mixes Parquet and CSV"],
    "types": ["'store' has types that do not go together", "string in a.parquet", "int64 in b.parquet"],
    "columns": ["b.parquet: there is no column 'price'", "did you mean 'prices'?"],
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_used_is_refused(case, tmp_path):
    with pytest.raises(PanelError) as caught:
        read(bad_file(tmp_path, case), **READING)
    for fragment in FILES[case]:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("source", "fragment"),
    [
        ("", "source is empty"),
        ("{folder}/*.parquet", "no file matches"),
        ("{folder}/panel.parqet", "did you mean 'panel.parquet'?"),
        ("{folder}/none/panel.parquet", "nor its folder"),
        ("gopher://x/panel.parquet", "cannot open"),
    ],
)
def test_a_source_that_leads_nowhere_is_refused(source, fragment, tmp_path):
    if "parqet" in source:
        pq.write_table(good(), tmp_path / "panel.parquet")
    with pytest.raises(PanelError, match=fragment.replace("?", r"\?")):
        read(source.format(folder=tmp_path), **READING)


def test_the_tables_hold_what_was_promised():
    assert len(REFUSED) + len(REASONED) + len(OUTSIDE) + len(FILES) >= 80
