"""Forecasts of real panels as if live: honest one to four weeks ahead, and better than the baselines."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.live import part_of
from posterity.config import load
from posterity.portfolio.backtest import backtest

pytestmark = pytest.mark.slow

PANELS = {
    "rollout": ("adoption_countries/adoption_countries.parquet", "1/8"),
    "orange_juice": ("count_store_brand_weekly/orange_juice_weekly.parquet", "1/60"),
}


@pytest.mark.parametrize("name", PANELS)
def test_intervals_hold_what_they_say_and_forecasts_beat_the_baselines(
    name: str, checkout: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("POSTERITY_VACCINATION", "POSTERITY_ORANGE_JUICE"):
        monkeypatch.setenv(variable, "given")
    config = load(checkout / "configs" / f"{name}.yaml")
    file, part = PANELS[name]
    panel = part_of(pd.read_parquet(data_dir / file), config, part)
    found = backtest(config, panel, horizon=4, origins=8, out=tmp_path / "backtest")
    ours = found.summary(["configuration", "horizon"]).query("configuration == @config.name")
    # A twentieth of a panel says less than all of it: twice the distance from 90 % that the whole is held to.
    assert ours["coverage_90"].between(0.8, 0.99).all()
    assert ours["entities"].max() == panel[list(config.data.entity)].drop_duplicates().shape[0]
    crps = found.summary(["configuration"]).set_index("configuration")["crps"]
    assert (crps[config.name] < 0.9 * crps.drop(config.name)).all()
