"""Real countries: `configs/vaccination.yaml` on the panel of first doses, where it is present."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio, Result
from posterity.config import Config, load, with_overrides
from posterity.panel import Panel

FEW = (
    *("Bhutan", "Brazil", "Chile", "Cuba", "Germany", "Gibraltar", "India", "Japan", "San Marino"),
    *("South Africa", "Sweden", "Syria"),
)
"""Large and small, with gaps, a late start, a share above 1, and only nine rows (Syria)."""
AHEAD = 8


@pytest.fixture(scope="module")
def source(data_dir: Path) -> Path:
    return data_dir / "adoption_countries" / "adoption_countries.parquet"


@pytest.fixture(scope="module")
def config(checkout: Path) -> Config:
    return load(checkout / "configs" / "vaccination.yaml")


@pytest.fixture(scope="module")
def few(source: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("few")
    return Portfolio(config).fit(str(source), out=folder / "result", entities=FEW, workers=0)


def covered(result: Result, mass: int) -> float:
    rows = result.entities["n_rows"]
    return float(np.average(result.entities[f"coverage_{mass}"], weights=rows))


def median(result: Result, entity: str, parameter: str) -> float:
    table = result.parameters.set_index(["entity", "parameter"])
    return float(table.loc[(entity, parameter), "median"])


def test_a_dozen_countries_are_fitted_and_certified(few: Result) -> None:
    assert few.counts.get("failed", 0) == 0
    assert few.counts["ok"] >= len(FEW) - 1, few.entities[["entity", "status", "reason"]]
    assert len(few.intervals) == few.entities["n_rows"].sum()


def test_one_week_ahead_the_intervals_hold(few: Result) -> None:
    assert 0.88 < covered(few, 90) < 0.97
    assert 0.50 < covered(few, 50) < 0.70


def test_what_is_odd_about_countries_is_found_not_forced(few: Result) -> None:
    assert median(few, "Gibraltar", "ceiling") > 1.05  # cross-border workers: more doses than people
    assert median(few, "Bhutan", "delay") < 0  # reports began when most doses had been given
    rows = few.entities.set_index("entity")["n_rows"]
    assert rows["Syria"] < 10
    assert rows["San Marino"] == 15  # 33 weeks, most of them without a report


def test_weeks_depend_on_each_other(few: Result) -> None:
    rho = few.parameters.query("parameter == 'rho'")
    assert (rho["lower_90"] > 0.4).all()
    assert rho["median"].median() > 0.8


def test_the_environment_names_the_panel(
    source: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTERITY_VACCINATION", str(source))
    panel: Panel = Portfolio(config).read()
    assert len(panel.entities) == 169
    assert panel.n_rows == 4_970
    assert not panel.reasons


@pytest.mark.slow
def test_all_countries(source: Path, config: Config, tmp_path: Path) -> None:
    result = Portfolio(config).fit(str(source), out=tmp_path / "all")
    assert result.counts.get("failed", 0) == 0
    assert result.counts["ok"] >= 160, result.entities.query("status != 'ok'")[["entity", "reason"]]
    assert 0.90 < covered(result, 90) < 0.95
    assert (
        0.55 < covered(result, 50) < 0.65
    )  # too wide: weeks of a plateau and weeks of a wave share one sigma


@pytest.mark.slow
def test_forecasts_with_memory_beat_those_without(source: Path, config: Config, tmp_path: Path) -> None:
    panel = pd.read_parquet(source)
    panel = panel[panel["entity"].isin(sorted(panel["entity"].unique())[::4])]
    late = panel["week"] > panel.groupby("entity")["week"].transform("max") - AHEAD
    enough = (~late).groupby(panel["entity"]).transform("sum") >= 10
    known, held_out = panel[enough & ~late], panel[enough & late]
    models = {
        "ar1": config,
        "independent": with_overrides(config, {"model.likelihood.errors": None}),
    }
    inside, error = {}, {}
    for name, model in models.items():
        result = Portfolio(model).fit(known, out=tmp_path / name)
        table = result.predict(held_out[["entity", "week"]], interval=0.9)
        table = table.merge(held_out[["entity", "week", "adoption"]], on=["entity", "week"])
        inside[name] = float(table["adoption"].between(table["lower_90"], table["upper_90"]).mean())
        error[name] = float((table["adoption"] - table["median"]).abs().mean())
    assert inside["ar1"] > inside["independent"] + 0.08
    assert error["ar1"] < 0.8 * error["independent"]
    # Honest about the rest: waves make neither model cover 90 % of what comes.
    assert inside["ar1"] < 0.85
