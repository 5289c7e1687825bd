"""Growth of cells: `configs/cell_growth.yaml` on chemical samples, most of which do nothing, where the panel
is present.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio, Result
from posterity.config import Config, load


@pytest.fixture(scope="module")
def source(data_dir: Path) -> Path:
    return data_dir / "dose_response_acea" / "acea_ar_cell_growth.parquet"


@pytest.fixture(scope="module")
def config(checkout: Path) -> Config:
    return load(checkout / "configs" / "cell_growth.yaml")


def steps(rows: pd.DataFrame) -> "pd.Series[float]":
    """Median response at the two highest doses less that below the three highest, by sample."""
    dose = rows.groupby("sample")["conc_uM"].rank(method="dense", ascending=False)
    high = rows[dose <= 2].groupby("sample")["response"].median()
    low = rows[dose > 3].groupby("sample")["response"].median()
    change: pd.Series[float] = (high - low).dropna()
    return change


def check(result: Result, rows: pd.DataFrame) -> None:
    """Flat samples say nothing about an EC50, and know it; steep ones do; whoever is flagged has a reason."""
    entities = result.entities
    assert result.counts.get("failed", 0) == 0
    assert entities.loc[entities["status"] != "ok", "reason"].str.len().gt(0).all()
    population = result.population
    assert population is not None
    names = [population.entries[i] for i in population.partial]
    between = population.sds[:, names.index("log_ec50")].mean()
    sd = result.parameters.query("parameter == 'log_ec50'").set_index("entity")["sd"] / between
    step = steps(rows)
    flat, steep = step.index[step.abs() < 0.1], step.index[step.abs() > 0.4]
    assert 0.75 < sd[flat].median() < 1.25
    assert sd[steep].median() < 0.35
    curves = result.intervals.sort_values(["entity", "conc_uM"]).groupby("entity")["expected_median"]
    change = curves.last() - curves.first()
    assert np.abs(change[flat]).median() < 0.1
    assert np.corrcoef(change, step[change.index])[0, 1] > 0.9
    # The floor: no curve leads below zero.
    assert (result.intervals["expected_median"] > -0.01).all()


def test_samples_with_ten_readings_teach(source: Path, config: Config) -> None:
    plan = Portfolio(config).plan(str(source))
    assert len(plan.panel.entities) == 1_339
    rows = pd.read_parquet(source).groupby("sample").size()
    assert len(plan.teachers) == (rows >= 10).sum()
    assert {s.kind for s in plan.sources.values()} == {"population"}


@pytest.mark.slow
def test_some_samples(source: Path, config: Config, tmp_path: Path) -> None:
    rows = pd.read_parquet(source)
    rows = rows[rows["sample"].isin(sorted(rows["sample"].unique())[::20])]
    check(Portfolio(config).fit(rows, out=tmp_path / "some", workers=0), rows)


@pytest.mark.slow
def test_all_samples(source: Path, config: Config, tmp_path: Path) -> None:
    result = Portfolio(config).fit(str(source), out=tmp_path / "all")
    check(result, pd.read_parquet(source))
    # A population of so many teachers may not stand still to a tenth of its sd; then all who learn say so.
    own = (
        result.entities["reason"]
        .fillna("")
        .str.split("; ")
        .map(lambda reasons: [r for r in reasons if r and "had not settled" not in r])
    )
    assert own.map(len).eq(0).mean() > 0.85
