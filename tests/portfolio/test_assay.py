"""Readings at their limits, with known errors, or not yet taken: the shipped configuration and rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio, Result
from posterity.config import load, with_overrides
from posterity.inference import compiled


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models are not worth machine code."""
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)


@pytest.fixture(scope="module")
def rows(checkout: Path) -> pd.DataFrame:
    return pd.read_parquet(checkout / "data" / "assay.parquet")


def fit(checkout: Path, rows: pd.DataFrame, out: Path, **overrides: object) -> Result:
    config = load(checkout / "configs" / "assay.yaml")
    changes = {"data.source": None, **{f"model.likelihood.{k}": v for k, v in overrides.items()}}
    return Portfolio(with_overrides(config, changes)).fit(rows, out=out, workers=0)


def rates(result: Result, checkout: Path) -> pd.DataFrame:
    """Rates with their truth."""
    found = result.parameters[result.parameters["parameter"] == "rate"].set_index("entity")
    truth = pd.read_parquet(checkout / "data" / "assay_truth.parquet")
    return found.assign(truth=truth[truth["parameter"] == "rate"].set_index("entity")["value"])


def test_limits_are_no_readings(checkout: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    result = fit(checkout, rows, tmp_path / "r")
    assert result.counts["failed"] == 0
    found = rates(result, checkout)
    assert ((found["mean"] - found["truth"]).abs() < 3 * found["sd"]).all()
    # The twin: taken for readings, they make every rate too small, and sure of it.
    naive = rates(fit(checkout, rows, tmp_path / "s", censored=None), checkout)
    assert (naive["upper_90"] < naive["truth"]).all()


def test_hours_to_come_are_predicted_as_they_would_be_recorded(
    checkout: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    few = rows[rows["sample"].isin(["A01", "A02"])]
    ahead = fit(checkout, few, tmp_path / "r").predict(interval=0.9)
    assert ahead[["sample", "hour"]].to_numpy().tolist() == [[s, h] for s in ("A01", "A02") for h in (15, 16)]
    assert (ahead["lower_90"] >= ahead["log_limit"]).all()
    assert np.isfinite(ahead["upper_90"]).all()


@pytest.mark.slow
def test_intervals_of_many_samples_hold_the_truth(checkout: Path, tmp_path: Path) -> None:
    from posterity.panel.simulation import assay

    table, truth = assay(300, seed=1)
    config = with_overrides(load(checkout / "configs" / "assay.yaml"), {"data.source": None})
    result = Portfolio(config).fit(table, out=tmp_path / "r")
    found = result.parameters.set_index(["entity", "parameter"])
    values = truth.to_pandas().set_index(["entity", "parameter"])["value"]
    assert result.counts["failed"] == 0
    for name in ("level", "rate"):
        own, true = found.xs(name, level="parameter"), values.xs(name, level="parameter")
        inside = ((own["lower_90"] < true) & (true < own["upper_90"])).mean()
        print(name, inside)
        assert 0.85 < inside < 0.95
