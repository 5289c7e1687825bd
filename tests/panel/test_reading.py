"""What is read, from where, and that the way of storing makes no difference."""

import gzip
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from posterity.panel import read

TABLE = pa.table(
    {
        "store": ["b", "a", "b", "a", "c"],
        "week": [2, 2, 1, 1, 1],
        "sales": [4.0, 2.0, 3.0, 1.0, 5.0],
        "group": ["x", "y", "x", "y", "y"],
        "unused": [0, 0, 0, 0, 0],
    }
)
READING = {"entity": "store", "time": "week", "target": "sales", "columns": ["group"]}
CSV = "store,week,sales,group,unused\nb,2,4,x,0\na,2,2,y,0\nb,1,3,x,0\na,1,1,y,0\nc,1,5,y,0\n"


def same(panel, other):
    assert panel.table.equals(other.table)
    assert panel.entities == other.entities
    assert panel.digests.tolist() == other.digests.tolist()


def test_rows_are_sorted_by_entity_and_time_and_only_needed_columns_read():
    panel = read(TABLE, **READING)
    assert panel.entities == ("a", "b", "c")
    assert panel.offsets.tolist() == [0, 2, 4, 5]
    assert panel.table.column_names == ["store", "week", "sales", "group"]
    assert panel.table.column("sales").to_pylist() == [1, 2, 3, 4, 5]
    assert panel.notices[0] == "5 rows of 3 entities"


def test_without_time_an_entity_keeps_the_order_of_the_source():
    assert read(TABLE, entity="store", target="sales").rows("b").target.tolist() == [4.0, 3.0]


def stored(kind, folder):  # noqa: C901 - a table of cases, however long
    match kind:
        case "parquet":
            pq.write_table(TABLE, folder / "p.parquet")
            return folder / "p.parquet"
        case "string path":
            pq.write_table(TABLE, folder / "p.pq")
            return str(folder / "p.pq")
        case "row groups":
            pq.write_table(TABLE, folder / "p.parquet", row_group_size=2)
            return folder / "p.parquet"
        case "csv":
            (folder / "p.csv").write_text(CSV)
            return folder / "p.csv"
        case "csv, upper-case name":
            (folder / "P.CSV").write_text(CSV)
            return folder / "P.CSV"
        case "csv with Windows lines":
            (folder / "p.csv").write_bytes(CSV.replace("\n", "\r\n").encode())
            return folder / "p.csv"
        case "csv with BOM":
            (folder / "p.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode())
            return folder / "p.csv"
        case "csv in UTF-16":
            (folder / "p.csv").write_text(CSV, encoding="utf-16")
            return folder / "p.csv"
        case "csv.gz":
            (folder / "p.csv.gz").write_bytes(gzip.compress(CSV.encode()))
            return folder / "p.csv.gz"
        case "tsv":
            (folder / "p.tsv").write_text(CSV.replace(",", "\t"))
            return folder / "p.tsv"
        case "semicolons":
            (folder / "p.csv").write_text(CSV.replace(",", ";"))
            return folder / "p.csv"
        case "folder":
            pq.write_table(TABLE.slice(0, 2), folder / "b.parquet")
            pq.write_table(TABLE.slice(2), folder / "a.parquet")
            (folder / "_SUCCESS").write_text("")
            return folder
        case "folder of CSV with columns in another order":
            pa.csv.write_csv(TABLE.slice(0, 2), folder / "b.csv")
            pa.csv.write_csv(TABLE.slice(2).select(["group", "sales", "week", "store"]), folder / "a.csv")
            return folder
        case "folder of other number types":
            pq.write_table(TABLE.slice(0, 2), folder / "b.parquet")
            whole = TABLE.slice(2).set_column(2, "sales", TABLE.slice(2).column("sales").cast(pa.int32()))
            pq.write_table(whole, folder / "a.parquet")
            return folder
        case "partitioned folder":
            pq.write_to_dataset(TABLE, folder, partition_cols=["group", "store"])
            return folder
        case "glob":
            pq.write_table(TABLE.slice(0, 2), folder / "part-1.parquet")
            pq.write_table(TABLE.slice(2), folder / "part-2.parquet")
            (folder / "other.parquet").write_text("not this one")
            return folder / "part-*.parquet"
        case "file URL":
            pq.write_table(TABLE, folder / "p.parquet")
            return (folder / "p.parquet").as_uri()
        case "frame":
            return TABLE.to_pandas()
        case "shuffled frame":
            return TABLE.to_pandas().sample(frac=1, random_state=1)
        case "frame of objects":
            return TABLE.to_pandas().astype(object)
        case "arrow stream":
            return pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches())


@pytest.mark.parametrize(
    "kind",
    [
        "parquet",
        "string path",
        "row groups",
        "csv",
        "csv, upper-case name",
        "csv with Windows lines",
        "csv with BOM",
        "csv in UTF-16",
        "csv.gz",
        "tsv",
        "semicolons",
        "folder",
        "folder of CSV with columns in another order",
        "folder of other number types",
        "partitioned folder",
        "glob",
        "file URL",
        "frame",
        "shuffled frame",
        "frame of objects",
        "arrow stream",
    ],
)
def test_every_way_of_storing_gives_the_same_panel(kind, tmp_path):
    same(read(stored(kind, tmp_path), **READING), read(TABLE, **READING))


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "folder", "folder/*.parquet"])
def test_memory_urls(name):
    memory = fsspec.filesystem("memory")
    root = "/reading-" + name.replace("/", "-").replace("*", "s")
    file = f"{root}/{name.split('*')[0].rstrip('/')}" + ("/x.parquet" if "folder" in name else "")
    with memory.open(file, "wb") as sink:
        if file.endswith("csv"):
            sink.write(CSV.encode())
        else:
            pq.write_table(TABLE, sink)
    try:
        same(read(f"memory:/{root}/{name}", **READING), read(TABLE, **READING))
    finally:
        memory.rm(root, recursive=True)


def changed(name, array):
    return TABLE.set_column(TABLE.column_names.index(name), name, array)


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["b", "a", "b", "a", "c"]).dictionary_encode(),
        pa.array(["b", "a", "b", "a", "c"], pa.large_string()),
        pa.array(["b", "a", "b", "a", "c"], pa.string_view()),
        pa.array(["b", "a", "b", "a", "c"], pa.large_string()).dictionary_encode(),
        pa.compute.run_end_encode(pa.array(["b", "a", "b", "a", "c"])),
    ],
    ids=["dictionary", "large", "view", "large dictionary", "run lengths"],
)
def test_text_types_are_one_type(array):
    same(read(changed("store", array), **READING), read(TABLE, **READING))


@pytest.mark.parametrize(
    "array",
    [
        pa.array([4, 2, 3, 1, 5], pa.int8()),
        pa.array([4, 2, 3, 1, 5], pa.uint64()),
        pa.array([4, 2, 3, 1, 5], pa.float32()),
        pa.array([4, 2, 3, 1, 5], pa.float16()),
        pa.array([Decimal(v) for v in (4, 2, 3, 1, 5)]),
        pa.array([4.0, 2, 3, 1, 5]).dictionary_encode(),
        pa.array(["4", " 2", "+3", "1.0", "5e0"]),
    ],
    ids=str,
)
def test_number_types_are_one_type(array):
    same(read(changed("sales", array), **READING), read(TABLE, **READING))


def test_a_column_of_true_and_false_is_ones_and_zeros(tmp_path):
    table = changed("sales", pa.array([True, False, False, True, True]))
    assert read(table, **READING).table.column("sales").to_pylist() == [1, 0, 0, 1, 1]
    pa.csv.write_csv(table, tmp_path / "p.csv")
    same(read(tmp_path / "p.csv", **READING), read(table, **READING))


def test_numbers_that_look_alike_stay_apart_as_entities(tmp_path):
    (tmp_path / "p.csv").write_text("store,sales\n007,1\n7,2\n07,3\nNA,4\n1e3,5\n")
    panel = read(tmp_path / "p.csv", entity="store", target="sales")
    assert panel.entities == ("007", "07", "1e3", "7", "NA")
    assert panel.reasons == {}


def test_partition_folders_keep_leading_zeros_and_escapes(tmp_path):
    for name in ("store=007", "store=7", "store=a%2Fb"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"sales": [1.0]}), tmp_path / name / "part.parquet")
    assert read(tmp_path, entity="store", target="sales").entities == ("007", "7", "a/b")


def test_whole_numbers_as_entities_are_written_without_decimals(tmp_path):
    table = changed("store", pa.array([2, 10, 2, 10, 3]))
    panel = read(table, **READING)
    assert panel.entities == ("10", "2", "3")  # code points, like every other name
    assert panel.table.schema.field("store").type == pa.string()
    pa.csv.write_csv(table, tmp_path / "p.csv")
    same(read(tmp_path / "p.csv", **READING), panel)
    assert read(changed("store", pa.array([2.0, 10, 2, 10, 3])), **READING).entities == panel.entities
    assert read(changed("store", pa.array([True, False] * 2 + [True])), **READING).entities == (
        "false",
        "true",
    )
    assert read(changed("store", pa.array([date(2024, 1, 1)] * 5)), entity="store").entities == (
        "2024-01-01",
    )


def test_long_identifiers_stay_apart_as_entities():
    names = [10**24 + i for i in range(5)]
    expected = tuple(map(str, names))
    assert read(changed("store", pa.array([Decimal(v) for v in names])), **READING).entities == expected
    assert (
        read(TABLE.to_pandas().assign(store=pd.Series(names, dtype=object)), **READING).entities == expected
    )
    identifiers = pa.array([2**53 + i for i in range(5)])
    assert len(read(changed("store", identifiers), **READING).entities) == 5


DAYS = [date(2024, 1, d) for d in (9, 9, 2, 2, 2)]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(DAYS),
        pa.array(DAYS, pa.date64()),
        pa.array([datetime(d.year, d.month, d.day) for d in DAYS], pa.timestamp("s")),
        pa.array([datetime(d.year, d.month, d.day) for d in DAYS], pa.timestamp("ns")),
        pa.array([datetime(d.year, d.month, d.day) for d in DAYS], pa.timestamp("us", "UTC")),
        pa.array([d.isoformat() for d in DAYS]),
        pa.array([f"{d.isoformat()} 00:00:00" for d in DAYS]),
        pa.array([f"{d.isoformat()}T01:00:00+01:00" for d in DAYS]),
        pa.array([d.isoformat() for d in DAYS]).dictionary_encode(),
    ],
    ids=lambda a: f"{a.type} {a[0]}",
)
def test_dates_are_one_type_and_days_to_models(array):
    panel = read(changed("week", array), **READING)
    assert panel.table.schema.field("week").type == pa.timestamp("us")
    rows = panel.rows("a")
    assert rows.time.tolist() == [datetime(2024, 1, 2), datetime(2024, 1, 9)]
    assert rows.time.dtype == np.dtype("datetime64[us]")
    assert rows.columns["week"].tolist() == [19724.0, 19731.0]
    same(panel, read(changed("week", pa.array(DAYS)), **READING))


def test_a_time_zone_is_kept_as_the_instant_in_utc():
    local = pa.array([datetime(2024, 1, 1, 12)] * 5, pa.timestamp("us", "America/New_York"))
    panel = read(changed("week", local), entity="store", time="week")
    assert panel.rows("c").time[0] == np.datetime64(local.cast(pa.int64())[0].as_py(), "us")
    assert any("kept in UTC" in n for n in panel.notices)


def test_csv_dates_and_parquet_dates_agree(tmp_path):
    table = changed("week", pa.array(DAYS))
    pa.csv.write_csv(table, tmp_path / "p.csv")
    same(read(tmp_path / "p.csv", **READING), read(table, **READING))


def test_csv_cells_may_hold_commas_quotes_and_line_breaks(tmp_path):
    (tmp_path / "p.csv").write_text('store,sales\n"a, ""b""\nc",1\n')
    assert read(tmp_path / "p.csv", entity="store", target="sales").entities == ('a, "b"\nc',)


def test_bytes_that_are_not_utf8_are_read_as_windows_text_with_a_notice(tmp_path):
    (tmp_path / "p.csv").write_bytes("store,sales\nZürich,1\n".encode("cp1252"))
    panel = read(tmp_path / "p.csv", entity="store", target="sales")
    assert panel.entities == ("Zürich",)
    assert any("Windows-1252" in n for n in panel.notices)


def test_missing_cells_of_csv_numbers_have_many_spellings(tmp_path):
    (tmp_path / "p.csv").write_text("store,sales\na,NA\na,\na,nan\na,null\na,1\n")
    panel = read(tmp_path / "p.csv", entity="store", target="sales")
    assert "missing in 4 of 5 rows" in panel.reasons["a"]


def test_a_csv_input_of_numbers_and_text_is_categories_and_says_so(tmp_path):
    (tmp_path / "p.csv").write_text("store,size\na,10\na,12\na,XL\n")
    panel = read(tmp_path / "p.csv", entity="store", columns=["size"])
    assert panel.levels("size") == ("10", "12", "XL")
    assert any("1 cell of text, such as 'XL'" in n for n in panel.notices)


def test_a_single_entity_column_may_be_called_entity():
    panel = read(
        TABLE.rename_columns(["entity", "week", "sales", "group", "unused"]), entity="entity", target="sales"
    )
    assert panel.entities == ("a", "b", "c")


def test_an_entity_column_may_be_an_input_too():
    panel = read(TABLE, entity=["group", "store"], target="sales", columns=["group", "week"])
    assert panel.rows("x / b").columns["group"].tolist() == ["x", "x"]
    assert panel.entity_values("y / c") == ("y", "c")


def test_rows_for_prediction_have_no_target():
    rows = read(TABLE, entity="store", time="week").rows("a")
    assert rows.target is None
    assert rows.columns["week"].tolist() == [1.0, 2.0]


def test_reading_leaves_a_frame_as_it_was():
    frame = TABLE.to_pandas()
    before = frame.copy(deep=True)
    read(frame, **READING)
    pd.testing.assert_frame_equal(frame, before)


def test_pandas_categories_nullable_numbers_and_missing_values():
    frame = TABLE.to_pandas().assign(
        store=lambda f: f["store"].astype("category"), sales=lambda f: f["sales"].astype("Int64")
    )
    same(read(frame, **READING), read(TABLE, **READING))
    frame.loc[1, "sales"] = pd.NA
    assert "missing in 1 of 2 rows" in read(frame, **READING).reasons["a"]


def test_the_real_panel(data_dir):
    path = data_dir / "adoption_countries" / "adoption_countries.parquet"
    panel = read(path, entity="entity", time="week", target="adoption", columns=["group", "population"])
    assert (len(panel.entities), panel.n_rows, dict(panel.reasons)) == (169, 4970, {})


def test_a_million_rows_are_read_sorted_checked_and_hashed_in_seconds(tmp_path, timed):
    rng = np.random.default_rng(0)
    n, entities = 1_000_000, 10_000
    table = pa.table(
        {
            "product": np.repeat([f"P{i}" for i in range(1000)], 1000),
            "region": np.tile(np.repeat([f"r{i}" for i in range(10)], 100), 1000),
            "week": np.tile(np.arange(100), entities),
            "sales": rng.normal(size=n),
        }
    ).take(pa.array(rng.permutation(n)))
    with timed() as reading:
        panel = read(table, entity=["product", "region"], time="week", target="sales")
    with timed() as hashing:
        digests = panel.digests
    assert len(set(digests)) == entities
    # About 0.4 s and 0.1 s on one quiet core.
    assert reading.seconds < 20
    assert hashing.seconds < 10


def test_neither_pymc_nor_mlflow_is_imported():
    heavy = ("pymc", "pytensor", "mlflow", "prefect")
    code = f"import sys, posterity.panel, posterity.lineage; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
