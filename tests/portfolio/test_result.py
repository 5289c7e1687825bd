import json
import pickle
from pathlib import Path

import arviz_stats as azs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

from posterity.config.schema import percent
from posterity.errors import ResultError
from posterity.portfolio import manifest as manifests
from posterity.portfolio.labels import variables
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.store import writing
from tests.portfolio.example import FAILED, ONE_ROW, PARAMETERS, build, entity_names


def test_tables_hold_every_entity_in_order(example: Result) -> None:
    assert example.name == "example"
    assert example.counts == {"ok": 9, "flagged": 2, "failed": 1}
    assert tuple(example.entities["entity"]) == entity_names()
    assert set(example.parameters["parameter"]) == set(PARAMETERS)
    assert len(example.intervals) == 11 * 52 + 1
    assert len(example.draws) == 11 * 1000
    assert example.prior_draws is not None
    assert example.prior_draws.shape == (1000, len(PARAMETERS))
    assert example.interval_masses == (0.5, 0.9)
    assert example.entities is example.entities


def test_the_configuration_loads(example: Result) -> None:
    assert example.config.data.entity == ("product", "region")
    assert example.settings["data"]["time"] == "week"


@pytest.mark.parametrize(
    ("mass", "text"), [(0.9, "90"), (0.5, "50"), (0.995, "99_5"), (0.07, "7"), (0.9999, "99_99")]
)
def test_a_mass_is_spelled_in_percent(mass: float, text: str) -> None:
    assert percent(mass) == text


@pytest.mark.parametrize("entity", [e for e in entity_names() if e != FAILED])
def test_a_trace_is_the_draws_of_its_entity_put_together(example: Result, entity: str) -> None:
    trace = example.trace(entity)
    own = example.draws[example.draws["entity"] == entity]
    posterior = trace["posterior"]
    assert dict(posterior.sizes) == {"chain": 4, "draw": 250, "region": 2, "spline": 3}
    assert list(posterior["region"].values) == ["north", "south"]
    np.testing.assert_array_equal(posterior["lambda_val"].values.ravel(), own["lambda_val"])
    np.testing.assert_array_equal(posterior["theta"].sel(spline=2).values.ravel(), own["theta[2]"])
    np.testing.assert_array_equal(posterior["z"].sel(region="south").values.ravel(), own["z[south]"])
    rows = example.intervals[example.intervals["entity"] == entity]
    np.testing.assert_array_equal(trace["observed_data"]["adoption"], rows["observed"])
    np.testing.assert_array_equal(trace["constant_data"]["week"], rows["week"])
    assert trace.attrs["entity"] == entity
    assert trace.attrs["fit_key"] == example.entity_row(entity)["fit_key"]
    assert float(trace["sample_stats"]["divergences"]) == example.entity_row(entity)["divergences"]


def test_a_trace_survives_netcdf_and_arviz_reads_it(tmp_path: Path) -> None:
    result = open_result(build(tmp_path / "run", dates=True, draws=50))
    entity = next(e for e in entity_names() if e.startswith("emoji"))
    trace = result.trace(entity)
    trace.to_netcdf(tmp_path / "trace.nc")
    with xr.open_datatree(tmp_path / "trace.nc") as back:
        xr.testing.assert_identical(back.load(), trace)
    assert trace["constant_data"]["time"].dtype.kind == "M"
    summary = azs.summary(trace, round_to="none")
    assert "theta[2]" in summary.index
    assert summary.loc["lambda_val", "mean"] == pytest.approx(float(trace["posterior"]["lambda_val"].mean()))


def test_a_failed_or_unknown_entity_says_why(example: Result) -> None:
    with pytest.raises(ResultError, match=r"failed\): no method gave a posterior"):
        example.trace(FAILED)
    with pytest.raises(ResultError, match="did you mean 'alpha / north'"):
        example.trace("alpha / nort")
    with pytest.raises(ResultError, match="no entity"):
        example.entity_table("draws.parquet", "x' OR 1=1")


def test_a_trace_reads_only_the_row_groups_of_its_entity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entities = [f"e{i:03d}" for i in range(300)]
    result = open_result(_many(tmp_path / "run", entities, draws=1000))
    assert result.entity_row("e000")["entity"] == "e000"  # reads the whole of entities.parquet
    monkeypatch.setattr(pq.ParquetFile, "read", lambda *_, **__: pytest.fail("the whole file was read"))
    read: list[int] = []
    real = pq.ParquetFile.read_row_groups

    def spy(self: pq.ParquetFile, groups: list[int], **options: object) -> pa.Table:
        read.extend(groups)
        return real(self, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", spy)
    part = result.entity_table("draws.parquet", "e123")
    assert part["a"].to_pylist() == [123.0] * 1000
    assert read == [1]
    # An entity whose draws lie across a boundary between row groups gets them all.
    assert result.entity_table("draws.parquet", "e065").num_rows == 1000


def test_digests_are_checked_at_the_first_read_of_a_file_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(tmp_path / "run", draws=20)
    checked: list[str] = []
    real = manifests.check_file
    monkeypatch.setattr(manifests, "check_file", lambda f, n, m: (checked.append(n), real(f, n, m))[1])
    result = open_result(folder)
    assert checked == []
    for entity in entity_names()[:3]:
        result.trace(entity)
    assert sorted(checked) == sorted(set(checked))
    assert "parameters.parquet" not in checked
    damaged = bytearray((folder / "parameters.parquet").read_bytes())
    damaged[100] ^= 255
    (folder / "parameters.parquet").write_bytes(damaged)
    with pytest.raises(ResultError, match=r"parameters\.parquet: its SHA-256 is not"):
        _ = result.parameters
    (folder / "draws.parquet").unlink()
    with pytest.raises(ResultError, match=r"draws\.parquet: is missing"):
        open_result(folder).trace("alpha / north")
    with pytest.raises(ResultError, match="SHA-256"):
        result.verify()


def test_a_file_that_the_manifest_does_not_list_is_not_read(tmp_path: Path) -> None:
    folder = build(tmp_path / "run", draws=20, priors=False)
    pq.write_table(pa.table({"lambda_val": [1.0]}), folder / "prior_draws.parquet")
    result = open_result(folder)
    assert result.prior_draws is None
    with pytest.raises(ResultError, match=r"this result has no prior_draws\.parquet; it has config\.yaml"):
        result.table("prior_draws.parquet")


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    result = open_result(build(tmp_path / "region=north" / "status=fine", draws=20))
    assert result.counts["ok"] == 9
    assert set(result.entities["status"]) == {"ok", "flagged", "failed"}
    assert "region=north" not in result.entities.columns


def test_a_result_travels_as_its_path(example: Result) -> None:
    _ = example.draws
    packed = pickle.dumps(example)
    assert len(packed) < 5_000
    assert tuple(pickle.loads(packed).entities["entity"]) == entity_names()


def test_a_damaged_parquet_with_a_right_digest_is_an_error_of_the_result(tmp_path: Path) -> None:
    with writing(tmp_path / "run") as draft:
        draft.text("entities.parquet", "not a table")
        folder = draft.publish(run_key="k", name="n", counts={})
    with pytest.raises(ResultError, match="cannot be read as Parquet"):
        _ = open_result(folder).entities


def test_rows_of_an_entity_that_lie_apart_are_refused(tmp_path: Path) -> None:
    with writing(tmp_path / "run") as draft:
        draft.table("entities.parquet", pa.table({"entity": ["a", "b", "a"]}))
        folder = draft.publish(run_key="k", name="n", counts={})
    with pytest.raises(ResultError, match="tables are sorted by entity"):
        open_result(folder).entity_row("a")


def test_lineage_leads_to_the_fit(example: Result) -> None:
    history = example.lineage("alpha / north")
    key = example.entity_row("alpha / north")["fit_key"]
    assert {n.id for n in history.nodes} == {"config:0", f"fit:{key}"}
    with pytest.raises(ResultError, match="knows no fit"):
        example.lineage(FAILED)


def test_uneven_chains_are_cut_and_said_so(tmp_path: Path) -> None:
    chain = [0] * 5 + [1] * 3
    draws = pa.table(
        {"entity": ["e"] * 8, "chain": chain, "draw": [4, 3, 2, 1, 0, 0, 1, 2], "a": np.arange(8.0)}
    )
    trace = open_result(_one(tmp_path / "run", draws)).trace("e")
    np.testing.assert_array_equal(trace["posterior"]["a"], [[4, 3, 2], [5, 6, 7]])
    assert trace.attrs["draws_left_out"] == 2


def test_one_row_is_enough(example: Result) -> None:
    assert example.trace(ONE_ROW)["observed_data"].sizes == {"row": 1}
    assert example.entity_row(ONE_ROW)["rhat"] is None


def test_labels_make_arrays_of_any_order_and_number_of_dimensions() -> None:
    a, b = variables(["a", "b[1,1]", "b[0,0]", "b[0,1]", "b[1,0]"])
    assert (a.name, a.columns, a.shape) == ("a", ("a",), ())
    assert b.columns == ("b[0,0]", "b[0,1]", "b[1,0]", "b[1,1]")
    assert b.dims == ("b_dim_0", "b_dim_1")
    assert b.levels == ((0, 1), (0, 1))
    values = b.gather({c: np.full(5, i) for i, c in enumerate(b.columns)})
    assert values.shape == (5, 2, 2)
    assert values[0].tolist() == [[0, 1], [2, 3]]


def test_ten_entries_are_ordered_as_numbers() -> None:
    (theta,) = variables([f"theta[{i}]" for i in (10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)])
    assert theta.levels == (tuple(range(11)),)
    assert theta.columns[10] == "theta[10]"


def test_levels_with_commas_brackets_or_gaps_stay_one_dimension() -> None:
    (city,) = variables(["z[Washington, DC]", "z[Rome]"], {"z": ("city",)})
    assert (city.dims, city.levels) == (("city",), (("Washington, DC", "Rome"),))
    (gap,) = variables(["g[0,0]", "g[1,1]"])
    assert gap.levels == (("0,0", "1,1"),)
    (odd,) = variables(["w[a[1]]"])
    assert odd.levels == (("a[1]",),)


def _one(folder: Path, draws: pa.Table) -> Path:
    fit = {"entity": "e", "status": "ok", "reason": None, "method": "nuts", "fit_key": "k"}
    with writing(folder) as draft:
        draft.table("entities.parquet", pa.Table.from_pylist([fit]))
        draft.table("intervals.parquet", pa.table({"entity": ["e"], "observed": [1.0]}))
        draft.table("draws.parquet", draws)
        draft.text("config.yaml", json.dumps({"data": {"target": "y"}}))
        return draft.publish(run_key="k", name="n", counts={"ok": 1})


def _many(folder: Path, entities: list[str], draws: int) -> Path:
    column = pa.array(np.repeat(entities, draws))
    values = np.repeat([float(e[1:]) for e in entities], draws)
    with writing(folder) as draft:
        draft.table("entities.parquet", pa.table({"entity": entities}))
        draft.table("draws.parquet", pa.table({"entity": column, "a": values}))
        return draft.publish(run_key="k", name="n", counts={"ok": 1})
