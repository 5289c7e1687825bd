"""The shipped logistic regression by minibatches, against NUTS on the same rows and the truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio, Result
from posterity.config import load, with_overrides

SHOP = "W01"


@pytest.fixture(scope="module")
def rows(checkout: Path) -> pd.DataFrame:
    return pd.read_parquet(checkout / "data" / "visits.parquet")


def fit(
    checkout: Path, rows: pd.DataFrame, out: Path, shops: tuple[str, ...] = (SHOP,), **inference: object
) -> Result:
    changes = {"data.source": None, **{f"inference.{k}": v for k, v in inference.items()}}
    config = with_overrides(load(checkout / "configs" / "svi.yaml"), changes)
    return Portfolio(config).fit(rows[rows["shop"].isin(shops)], out=out, workers=0)


def test_means_are_those_of_laplace_and_sds_no_larger(
    checkout: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    found = fit(checkout, rows, tmp_path / "advi")
    exact = fit(checkout, rows, tmp_path / "laplace", method="laplace", minibatch=None)
    assert exact.counts["ok"] == 1
    ours, theirs = (r.parameters.set_index("parameter")[["mean", "sd"]] for r in (found, exact))
    assert (np.abs(ours["mean"] - theirs["mean"]) < 0.4 * theirs["sd"]).all()
    assert (ours["sd"] < 1.02 * theirs["sd"]).all()
    assert ours.loc["intercept", "sd"] < 0.6 * theirs.loc["intercept", "sd"]
    assert found.counts["flagged"] == 1
    assert found.elbo is not None
    assert found.elbo["step"].max() < 20_000


@pytest.mark.slow
def test_all_shops_and_both_families(checkout: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    every = tuple(rows["shop"].unique())
    exact = fit(checkout, rows, tmp_path / "nuts", every, method="nuts", minibatch=None)
    narrow = fit(checkout, rows, tmp_path / "advi", every)
    full = fit(checkout, rows, tmp_path / "full", every, method="fullrank_advi")
    assert full.counts["ok"] == len(every)
    keys = ["entity", "parameter"]
    theirs, ours, fulls = (r.parameters.set_index(keys)[["mean", "sd"]] for r in (exact, narrow, full))
    assert (np.abs(ours["mean"] - theirs["mean"]) < 0.5 * theirs["sd"]).all()
    assert (np.abs(fulls["mean"] - theirs["mean"]) < 0.15 * theirs["sd"]).all()
    assert fulls["sd"].to_numpy() == pytest.approx(theirs["sd"].to_numpy(), rel=0.08)
    assert (narrow.entities["status"] == "flagged").all()
    truth = pd.read_parquet(checkout / "data" / "visits_truth.parquet").set_index(keys)["value"]
    assert (np.abs(fulls["mean"] - truth) < 3.5 * fulls["sd"]).all()
