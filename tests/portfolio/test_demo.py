"""The shipped demo portfolio: its truth recovered, its result whole, and what a second run does."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import posterity
from posterity import Portfolio
from posterity.config import load, with_overrides
from posterity.errors import PanelError, ResultError
from posterity.portfolio.result import Result
from posterity.portfolio.shard import Report

CHECKOUT = Path(__file__).parents[2]
CONFIG = CHECKOUT / "configs" / "adoption.yaml"
DATA = CHECKOUT / "data" / "adoption.parquet"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return Portfolio(CONFIG).fit(DATA, out=tmp_path_factory.mktemp("demo") / "run", workers=0)


def truth() -> pd.DataFrame:
    return pq.read_table(CHECKOUT / "data" / "adoption_truth.parquet").to_pandas()


def test_truth_is_covered_at_the_nominal_rate(demo: Result) -> None:
    both = demo.parameters.merge(truth(), on=["entity", "parameter"], validate="one_to_one")
    assert len(both) == 360
    inside = ((both["lower_90"] <= both["value"]) & (both["value"] <= both["upper_90"])).mean()
    print(f"90 % intervals cover the truth in {100 * inside:.1f} % of 360 pairs")
    assert 0.87 <= inside <= 0.93
    # The twin: intervals of half the width must not pass.
    half = (both["upper_90"] - both["lower_90"]) / 4
    assert ((both["value"] - both["median"]).abs() <= half).mean() < 0.8


def test_every_entity_is_fitted_and_certified(demo: Result) -> None:
    assert dict(demo.counts) == {"ok": 120, "flagged": 0, "failed": 0}
    assert (demo.entities["ess_bulk"] >= 1_000).all()
    assert demo.entities["method"].eq("laplace").all()
    assert demo.entities["rhat"].isna().all()  # independent draws have no R-hat


def test_tables_have_the_columns_of_the_design(demo: Result) -> None:
    about = (
        "entity status reason method role n_rows first_time last_time rhat ess_bulk ess_tail divergences khat"
    )
    about += " seconds prior prior_rows conflict_p fit_key parent_fit_key product region"
    assert set(about.split()) <= set(demo.entities.columns)
    bounds = {f"{side}_{p}" for side in ("lower", "upper") for p in (50, 90)}
    assert {"entity", "parameter", "mean", "sd", "median", "rhat", "ess_bulk", "ess_tail"} | bounds <= set(
        demo.parameters.columns
    )
    assert {"entity", "time", "week", "observed", "mean", "median"} | bounds <= set(demo.intervals.columns)
    assert {"entity", "chain", "draw", "lambda_val", "intercept", "sigma"} == set(demo.draws.columns)
    assert len(demo.intervals) == 120 * 52
    assert len(demo.draws) == 120 * 4_000
    assert demo.entities["entity"].is_monotonic_increasing


def test_tables_agree_with_the_draws(demo: Result) -> None:
    entity = demo.entities["entity"][7]
    draws = demo.draws[demo.draws["entity"] == entity]
    row = demo.parameters.set_index(["entity", "parameter"]).loc[(entity, "lambda_val")]
    assert row["mean"] == pytest.approx(draws["lambda_val"].mean(), rel=1e-12)
    assert row["sd"] == pytest.approx(draws["lambda_val"].std(), rel=1e-12)
    assert row["upper_90"] == pytest.approx(np.quantile(draws["lambda_val"], 0.95), rel=1e-12)
    factors = demo.table("factors.parquet").to_pandas().set_index("entity").loc[entity]
    assert list(factors["names"]) == ["lambda_val_log__", "intercept", "sigma_log__"]
    assert factors["mean"][0] == pytest.approx(np.log(draws["lambda_val"]).mean(), rel=1e-9)


def test_a_second_run_with_the_same_inputs_does_nothing(demo: Result) -> None:
    from posterity.portfolio.portfolio import run

    def written() -> dict[str, int]:
        return {p.name: p.stat().st_mtime_ns for p in demo.path.iterdir()}

    before, reports = written(), list[Report]()
    again = run(Portfolio(CONFIG).plan(DATA), out=demo.path, workers=0, listen=reports.append)
    assert again.counts == {"ok": 0, "flagged": 0, "failed": 0, "unchanged": 120}
    assert reports == []
    assert written() == before


def test_a_folder_of_other_inputs_is_refused(demo: Result) -> None:
    other = with_overrides(load(CONFIG), {"inference.seed": 1})
    with pytest.raises(ResultError, match="other inputs"):
        Portfolio(other).fit(DATA, out=demo.path, workers=0)


def test_neither_order_nor_company_nor_workers_change_a_fit(demo: Result, tmp_path: Path) -> None:
    names = ("P07 / west", "P01 / north")
    config = with_overrides(load(CONFIG), {"inference.keep": "all"})
    some = Portfolio(config).fit(DATA, out=tmp_path / "some", entities=names, workers=2)
    for name in names:
        mine, theirs = (r.entity_table("draws.parquet", name).drop_columns("entity") for r in (some, demo))
        assert mine.equals(theirs)
    seed = Portfolio(with_overrides(config, {"inference.seed": 5}))
    other = seed.fit(DATA, out=tmp_path / "seed", entities=names, workers=0)
    assert not other.entity_table("draws.parquet", names[0]).equals(
        some.entity_table("draws.parquet", names[0])
    )


def test_predictions_continue_the_curve(demo: Result) -> None:
    rows = pd.DataFrame({"product": "P01", "region": "east", "week": [53, 60, 104]})
    wide, narrow = demo.predict(rows, interval=0.9), demo.predict(rows, interval=0.5)
    assert list(wide["week"]) == [53, 60, 104]
    assert wide["mean"].is_monotonic_increasing
    assert (wide["lower_90"] < narrow["lower_50"]).all()
    assert (wide["expected_upper_90"] - wide["expected_lower_90"] < wide["upper_90"] - wide["lower_90"]).all()
    pd.testing.assert_frame_equal(wide, demo.predict(rows, interval=0.9))
    with pytest.raises(PanelError, match="not in the result"):
        demo.predict(rows.assign(region="moon"))


def test_predictions_cover_weeks_that_were_held_out(tmp_path: Path) -> None:
    """Fitted on 40 weeks, 90 % intervals of the twelve that follow hold 87 to 93 % of what happened."""
    table = pq.read_table(DATA).to_pandas()
    result = Portfolio(CONFIG).fit(table[table["week"] <= 40], out=tmp_path / "run", workers=0)
    later = table[table["week"] > 40]
    found = result.predict(later[["product", "region", "week"]]).merge(
        later, on=["product", "region", "week"]
    )
    inside = ((found["lower_90"] <= found["adoption"]) & (found["adoption"] <= found["upper_90"])).mean()
    print(f"{100 * inside:.1f} % of {len(found)} rows")
    assert 0.87 <= inside <= 0.93


def test_a_result_opens_with_trace_and_lineage(demo: Result) -> None:
    opened = posterity.open(demo.path)
    tree = opened.trace("P01 / east")
    assert dict(tree["posterior"].sizes) == {"chain": 4, "draw": 1000}
    kinds = {node.kind for node in opened.lineage("P01 / east").nodes}
    assert kinds == {"config", "model", "prior", "data", "versions", "fit"}


@pytest.mark.slow
def test_laplace_and_nuts_agree(tmp_path: Path) -> None:
    """Means within 0.1 sd and sds within 5 % for 99 % of entities.

    With 40,000 draws each, the sampler's own error of an sd is about 0.8 % and of a mean 0.01 sd.
    """
    fits = {}
    for method, draws in (("laplace", 10_000), ("nuts", 10_000)):
        options = {"inference.method": method, "inference.draws": draws, "inference.keep": 1_000}
        config = with_overrides(load(CONFIG), options)
        result = Portfolio(config).fit(DATA, out=tmp_path / method, workers=2)
        fits[method] = result.parameters.set_index(["entity", "parameter"])
    a, b = fits["laplace"], fits["nuts"]
    shift = ((a["mean"] - b["mean"]).abs() / b["sd"]).groupby("entity").max()
    ratio = ((a["sd"] / b["sd"] - 1).abs()).groupby("entity").max()
    agree = ((shift < 0.1) & (ratio < 0.05)).mean()
    print(f"largest shift {shift.max():.3f} sd, of sds {ratio.max():.3f}, {100 * agree:.1f} % agree")
    assert agree >= 0.99
