"""A portfolio fitted whole: what its tables hold, whatever the entities are called and whatever is wrong
with some.
"""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from posterity.errors import PanelError
from posterity.inference import compiled
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.result import Result
from tests.portfolio.small import SMALL, changed, panel

LINE = {
    "name": "line",
    "data": {"entity": "shop", "target": "sales"},
    "model": {
        "parameters": {"a": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 10}}},
        "quantities": {"m": {"expression": "a * x"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
    },
    "inference": {"method": "laplace", "draws": 250},
    "gates": {"ess": 100},
}


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small portfolios of many structures: evaluated without being compiled."""
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)


def fit(config: dict[str, Any], table: Any, out: Path, **options: Any) -> Result:
    return Portfolio(config).fit(table, out=out / "result", workers=0, **options)


def line(shops: list[Any], n: int = 8, **columns: Any) -> pa.Table:
    """A line a shop, slope 2."""
    rng = np.random.default_rng(3)
    x = np.tile(np.arange(1.0, n + 1), len(shops))
    made = {"shop": [s for s in shops for _ in range(n)], "x": x, "sales": 2 * x + rng.normal(size=len(x))}
    return pa.table(made | columns)


def test_entities_with_reasons_fail_and_all_others_are_fitted(tmp_path: Path) -> None:
    table = changed(panel(), ("P01", "south"), "adoption", [np.nan] * 3)
    table = changed(table, ("P02", "north"), "week", [7])
    result = fit(SMALL, table, tmp_path)
    assert result.counts["failed"] == 2
    about = result.entities.set_index("entity")
    assert about.loc["P01 / south", "status"] == "failed"
    assert "missing in 3 of 20 rows" in about.loc["P01 / south", "reason"]
    assert "week" in about.loc["P02 / north", "reason"]
    assert about["n_rows"].sum() == table.num_rows
    fine = about.index[about["status"] != "failed"]
    assert len(fine) == 4
    assert (about.loc[fine, "reason"].isna() == (about.loc[fine, "status"] == "ok")).all()
    assert set(result.parameters["entity"]) == set(result.draws["entity"]) == set(fine)
    result.verify()


def test_targets_outside_the_support_are_a_reason(tmp_path: Path) -> None:
    model = LINE["model"] | {
        "quantities": {"m": {"expression": "exp(0.1 * a * x)"}},
        "likelihood": {"dist": "Poisson", "kwargs": {"mu": "m"}},
    }
    x = np.tile(np.arange(1.0, 9), 3)
    sales = np.random.default_rng(2).poisson(3, size=24).astype(float)
    sales[3], sales[12] = -1, 2.5
    result = fit(
        LINE | {"model": model},
        pa.table({"shop": np.repeat(["a", "b", "c"], 8), "x": x, "sales": sales}),
        tmp_path,
    )
    about = result.entities.set_index("entity")
    assert dict(about["status"]) == {"a": "failed", "b": "failed", "c": "ok"}
    assert "counts 0, 1, 2" in about.loc["a", "reason"]
    assert "2.5" in about.loc["b", "reason"]


@pytest.mark.parametrize(("keep", "rows"), [(100, 100), ("all", 1_000), (3, 4), ("auto", 1_000)])
def test_as_many_draws_are_stored_as_asked(keep: Any, rows: int, tmp_path: Path) -> None:
    config = LINE | {"inference": LINE["inference"] | {"keep": keep}}
    draws = fit(config, line(["a"]), tmp_path).draws
    assert len(draws) == rows
    assert draws.groupby("chain").size().nunique() == 1
    assert draws["chain"].nunique() == 4


def test_intervals_at_every_mass_hold_their_share_of_the_draws(tmp_path: Path) -> None:
    masses = [0.995, 0.2, 0.5, 0.9]
    result = fit(
        LINE | {"intervals": masses, "inference": LINE["inference"] | {"keep": "all"}}, line(["a"]), tmp_path
    )
    names = ["20", "50", "90", "99_5"]
    assert result.interval_masses == (0.2, 0.5, 0.9, 0.995)
    row, draws = result.parameters.iloc[0], result.draws["a"]
    for name, mass in zip(names, sorted(masses), strict=True):
        assert row[f"lower_{name}"] == pytest.approx(np.quantile(draws, (1 - mass) / 2))
        assert row[f"upper_{name}"] == pytest.approx(np.quantile(draws, (1 + mass) / 2))
        bounds = result.intervals[[f"lower_{name}", f"upper_{name}"]]
        observed = result.intervals["observed"]
        inside = (bounds.iloc[:, 0] <= observed) & (observed <= bounds.iloc[:, 1])
        assert result.entities[f"coverage_{name}"][0] == inside.mean()
    for outer, inner in zip(names[1:], names, strict=False):
        for table in (result.parameters, result.intervals):
            assert (table[f"lower_{outer}"] <= table[f"lower_{inner}"]).all()
            assert (table[f"upper_{outer}"] >= table[f"upper_{inner}"]).all()
    # Predictive bounds of a normal with known sd 1 around a x.
    wanted = result.intervals["x"] * draws.mean() + 1.645 * np.sqrt(
        1 + result.intervals["x"] ** 2 * draws.var()
    )
    assert np.abs(result.intervals["upper_90"] - wanted).max() < 0.35
    expected = result.intervals["expected_upper_90"] - result.intervals["expected_lower_90"]
    np.testing.assert_allclose(
        expected, result.intervals["x"] * (row["upper_90"] - row["lower_90"]), rtol=1e-9
    )


HOSTILE = [
    "../../etc",
    "a/b",
    "a / b c",
    "CON",
    "x" * 300,
    "%2e%2e",
    "né 🚀",
    "'; drop",
    '"q"',
    "a\nb",
    "[bold]",
    "-",
    ".",
]


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    result = fit(LINE, line(HOSTILE), tmp_path)
    assert sorted(result.entities["shop"]) == sorted(HOSTILE)
    assert result.counts["ok"] == len(HOSTILE)
    files = {p.relative_to(tmp_path / "result").as_posix() for p in (tmp_path / "result").rglob("*")}
    assert not any(part in file for file in files for part in ("etc", "drop", "né"))
    for name in HOSTILE:
        assert len(result.entity_table("draws.parquet", name)) == 1_000
        assert result.lineage(name).nodes
        assert result.trace(name)["posterior"].sizes["chain"] == 4
    found = result.predict(pd.DataFrame({"shop": HOSTILE, "x": 2.0}))
    assert found["mean"].between(3, 5).all()


def test_names_that_would_be_one_after_joining_are_refused(tmp_path: Path) -> None:
    table = panel().to_pandas()
    table.loc[table["product"] == "P01", ["product", "region"]] = ["a / b", "c"]
    table.loc[table["product"] == "P02", ["product", "region"]] = ["a", "b / c"]
    with pytest.raises(PanelError, match="a / b / c"):
        Portfolio(SMALL).plan(table.drop_duplicates(["product", "region", "week"]))


@pytest.mark.parametrize(
    "shops",
    [[3, 20, 100], [dt.date(2024, 1, 1), dt.date(2024, 2, 1)], [True, False]],
    ids=["int", "date", "bool"],
)
def test_entity_columns_of_other_types(shops: list[Any], tmp_path: Path) -> None:
    result = fit(LINE, line(shops), tmp_path)
    assert result.counts["ok"] == len(shops)
    names = {str(s).lower() if isinstance(s, bool) else str(s) for s in shops}
    assert set(result.entities["entity"]) == names
    assert result.predict(pd.DataFrame({"shop": shops, "x": 2.0}))["mean"].between(3, 5).all()


def test_without_a_time_column(tmp_path: Path) -> None:
    result = fit(LINE, line(["a", "b"]), tmp_path)
    assert result.entities["first_time"].isna().all()
    assert result.intervals["time"].isna().all()
    assert result.intervals["x"].tolist() == [*range(1, 9)] * 2


def test_dates_as_time(tmp_path: Path) -> None:
    table = panel().to_pandas()
    first = pd.Timestamp("2024-01-01")
    dated = table.assign(week=first + pd.to_timedelta(7 * table["week"], unit="D"))
    start = (first - pd.Timestamp("1970-01-01")).days
    quantities = {"curve": {"expression": f"(1 - intercept) * (1 - exp(-lambda_val * (week - {start}) / 7))"}}
    result = fit(SMALL | {"model": SMALL["model"] | {"quantities": quantities}}, dated, tmp_path)
    plain = fit(SMALL, table, tmp_path / "plain")
    assert result.entities["first_time"][0] == pd.Timestamp("2024-01-08")
    assert pd.api.types.is_datetime64_any_dtype(result.intervals["time"])
    both = result.parameters.merge(plain.parameters, on=["entity", "parameter"])
    assert ((both["mean_x"] - both["mean_y"]).abs() < 0.3 * both["sd_y"]).all()
    future = result.predict(
        pd.DataFrame({"product": "P01", "region": "north", "week": [pd.Timestamp("2024-12-30")]})
    )
    assert future["week"][0] == pd.Timestamp("2024-12-30")
    again = plain.predict(pd.DataFrame({"product": "P01", "region": "north", "week": [52]}))
    assert future["mean"][0] == pytest.approx(again["mean"][0], abs=0.03)


def test_one_row_entities_are_fitted_by_their_prior(tmp_path: Path) -> None:
    result = fit(LINE, line(["a", "b"], n=1), tmp_path)
    assert result.counts["ok"] == 2
    assert (result.parameters["sd"] > 0.5).all()


def test_vector_parameters_have_a_row_and_a_column_an_entry(tmp_path: Path) -> None:
    model = {
        "parameters": {"z": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 5}, "dims": "kind"}},
        "quantities": {"m": {"expression": "z[kind] * x"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
    }
    table = line(["a", "b"], kind=["u", "v"] * 8)
    result = fit(LINE | {"model": model}, table, tmp_path)
    assert result.parameters["parameter"].tolist() == ["z[u]", "z[v]"] * 2
    assert {"z[u]", "z[v]"} <= set(result.draws.columns)
    assert dict(result.trace("a")["posterior"]["z"].sizes) == {"chain": 4, "draw": 250, "kind": 2}
    found = result.predict(pd.DataFrame({"shop": "a", "x": 2.0, "kind": ["u", "v"]}))
    assert found["mean"].between(3, 5).all()


def test_a_label_that_is_no_label_of_the_dimension_is_a_reason(tmp_path: Path) -> None:
    model = {
        "parameters": {"z": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 5}, "dims": "kind"}},
        "quantities": {"m": {"expression": "z[sort] * x"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
        "coords": {"kind": ["u", "v"]},
    }
    table = line(["a", "b"], sort=["u", "v"] * 4 + ["u", "w"] * 4)
    result = fit(LINE | {"model": model}, table, tmp_path)
    about = result.entities.set_index("entity")
    assert about.loc["a", "status"] == "ok"
    assert about.loc["b", "status"] == "failed"
    assert "has the level 'w'" in about.loc["b", "reason"]
    assert "unexpected" not in about.loc["b", "reason"]


def test_the_lineage_leads_back_to_configuration_data_and_code(tmp_path: Path) -> None:
    result = fit(SMALL, panel(), tmp_path)
    history = result.lineage("P02 / south")
    kinds = {node.kind for node in history.nodes}
    assert {"config", "model", "prior", "data", "fit"} <= kinds
    (own,) = [node for node in history.nodes if node.kind == "fit"]
    assert own.attributes["entity"] == "P02 / south"
    assert own.attributes["data"]["rows"] == 20
    json.dumps(history.to_dict(), allow_nan=False)


def test_seconds_are_the_only_thing_that_two_equal_runs_differ_in(tmp_path: Path) -> None:
    one, two = (fit(SMALL, panel(), tmp_path / name) for name in "ab")
    for name in ("entities", "parameters", "intervals", "draws"):
        tables = [getattr(r, name).drop(columns="seconds", errors="ignore") for r in (one, two)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert one.manifest.run_key == two.manifest.run_key
