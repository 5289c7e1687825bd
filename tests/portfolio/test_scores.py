"""Scores against closed forms, and means and comparisons worked out by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scoringrules
from scipy import stats

from posterity.errors import ConfigError, PanelError, ResultError
from posterity.inference import compiled
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.result import Result
from posterity.portfolio.scores import LEVELS, compare, score, score_draws, summary

SHOPS = ["a", "b", "c"]
MEAN = {
    "name": "mean",
    "data": {"entity": "shop", "time": "week", "target": "y"},
    "model": {
        "parameters": {"a": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 10}}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "a", "sigma": 1}},
    },
    "inference": {"method": "laplace", "draws": 5_000, "keep": "all"},
    "gates": {"ess": 100},
}


def simulated(weeks: Any, seed: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frames = [pd.DataFrame({"shop": s, "week": weeks, "y": i + rng.normal(size=len(weeks))})
              for i, s in enumerate(SHOPS)]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        table = simulated(np.arange(1.0, 9))
        return Portfolio(MEAN).fit(table, out=tmp_path_factory.mktemp("mean") / "r", workers=0)


def predictive(shop: str) -> Any:
    """The exact posterior predictive: Normal mean with a Normal prior."""
    seen = simulated(np.arange(1.0, 9)).query("shop == @shop")["y"]
    precision = 1 / 100 + len(seen)
    return stats.norm(seen.sum() / precision, np.sqrt(1 + 1 / precision))


def test_a_result_is_scored_as_its_exact_predictive_distribution(fitted: Result) -> None:
    later = simulated(np.arange(9.0, 15), seed=5)
    found = score(fitted, later, intervals=(0.5, 0.9))
    assert found["entity"].tolist() == later["shop"].tolist()
    np.testing.assert_array_equal(found["observed"], later["y"])
    np.testing.assert_array_equal(found["time"], later["week"])
    for shop, rows in found.groupby("entity"):
        exact, y = predictive(str(shop)), rows["observed"].to_numpy()
        np.testing.assert_allclose(
            rows["crps"], scoringrules.crps_normal(y, exact.mean(), exact.std()), atol=0.02
        )
        np.testing.assert_allclose(rows["pit"], exact.cdf(y), atol=0.015)
        np.testing.assert_allclose(rows["mean"], exact.mean(), atol=0.04)
        np.testing.assert_allclose(rows["absolute_error"], np.abs(y - rows["median"]))
        for p in (0.5, 0.9):
            low, high = exact.interval(p)
            np.testing.assert_allclose(rows[f"lower_{100 * p:.0f}"], low, atol=0.06)
            inside = (rows[f"lower_{100 * p:.0f}"] <= y) & (y <= rows[f"upper_{100 * p:.0f}"])
            assert rows[f"inside_{100 * p:.0f}"].tolist() == inside.astype(float).tolist()
            np.testing.assert_allclose(rows[f"upper_{100 * p:.0f}"], high, atol=0.06)
        losses = [scoringrules.quantile_score(y, exact.ppf(p), p) for p in LEVELS]
        np.testing.assert_allclose(rows["pinball"], np.mean(losses, axis=0), atol=0.02)
    pd.testing.assert_frame_equal(found, score(fitted, later, intervals=(0.5, 0.9)))


def test_only_rows_that_can_be_scored_are(fitted: Result) -> None:
    later = simulated(np.arange(9.0, 12), seed=5)
    later.loc[1, "y"] = np.nan
    later.loc[later["shop"] == "c", "shop"] = "never seen"
    found = score(fitted, later)
    assert list(zip(found["entity"], found["time"], strict=True)) == [
        ("a", 9), ("a", 11), ("b", 9), ("b", 10), ("b", 11)
    ]  # fmt: skip
    nobody = score(fitted, later[later["shop"] == "never seen"])
    assert nobody.empty
    assert set(nobody.columns) == set(found.columns)
    with pytest.raises(PanelError, match="'y'"):
        score(fitted, later.drop(columns="y"))
    with pytest.raises(ConfigError, match="no masses"):
        score(fitted, later, intervals=(90,))


def test_crps_is_that_of_the_distribution_not_of_the_draws() -> None:
    rng = np.random.default_rng(1)
    y = np.linspace(-2, 2, 5)
    few = [score_draws(y, rng.normal(size=(10, 5)), (0.9,), np.full(5, 0.5))["crps"] for _ in range(4_000)]
    exact = scoringrules.crps_normal(y, 0, 1)
    np.testing.assert_allclose(np.mean(few, axis=0), exact, atol=0.02)
    # The twin: the CRPS of ten points as a distribution of their own is larger by a twentieth of the spread.
    biased = [scoringrules.crps_ensemble(y, rng.normal(size=(5, 10)), estimator="nrg") for _ in range(4_000)]
    assert (np.mean(biased, axis=0) > exact + 0.04).all()


def test_the_pit_of_counts_is_uniform_only_when_randomised() -> None:
    rng = np.random.default_rng(2)
    y, draws = rng.poisson(2, 2_000).astype(float), rng.poisson(2, (500, 2_000))
    scored = score_draws(y, draws, (0.9,), rng.random(2_000), discrete=True)
    assert stats.kstest(scored["pit"], "uniform").pvalue > 0.01
    plain = score_draws(y, draws, (0.9,), np.ones(2_000), discrete=True)
    assert stats.kstest(plain["pit"], "uniform").pvalue < 1e-6
    exact = scoringrules.crps_poisson(y, 2.0)
    assert scored["crps"].mean() == pytest.approx(float(exact.mean()), abs=0.02)


def table(**columns: Any) -> pd.DataFrame:
    made = pd.DataFrame(columns)
    defaults = {"time": 1, "observed": 0.0, "pinball": 0.5, "absolute_error": 2.0, "inside_90": 1.0}
    return made.assign(**{k: v for k, v in defaults.items() if k not in made})


def test_means_are_over_entities_however_many_rows_each_has() -> None:
    scores = table(entity=["a", "a", "a", "b"], crps=[1.0, 2.0, 3.0, 6.0], inside_90=[1.0, 1.0, 1.0, 0.0])
    (found,) = summary(scores).to_dict("records")
    assert found == {
        "crps": 4.0, "crps_se": 2.0, "pinball": 0.5, "mae": 2.0, "coverage_90": 0.5, "coverage_90_se": 0.5,
        "entities": 2, "rows": 4,
    }  # fmt: skip
    by = summary(scores.assign(horizon=[1, 1, 2, 2]), by=["horizon"])
    assert by["horizon"].tolist() == [1, 2]
    assert by["crps"].tolist() == [1.5, 4.5]
    assert by["rows"].tolist() == [2, 2]
    assert np.isnan(by["crps_se"][0])
    each = summary(scores, by=["entity"])
    assert each["crps"].tolist() == [2.0, 6.0]
    with pytest.raises(ConfigError, match="by 'role' is no column"):
        summary(scores, by=["role"])


def test_comparisons_are_paired_by_row_and_averaged_by_entity() -> None:
    ours = table(entity=["a", "a", "b", "c"], time=[1, 2, 1, 1], crps=[1.0, 2.0, 3.0, 9.0])
    theirs = table(entity=["b", "a", "a"], time=[1, 2, 1], crps=[4.0, 4.0, 2.0])
    found = compare(ours, theirs)  # a: (-1 - 2) / 2, b: -1; c has no partner
    assert found.difference == pytest.approx(-1.25)
    assert found.se == pytest.approx(np.std([-1.5, -1], ddof=1) / np.sqrt(2))
    assert found.entities == 2
    assert found.better
    assert compare(theirs, ours).worse
    # Shared difficulty of entities cancels in the pair: far smaller than the error of either mean.
    assert found.se < 0.5 * summary(ours)["crps_se"][0]


def test_comparing_other_rows_is_refused() -> None:
    ours = table(entity=["a"], crps=[1.0])
    with pytest.raises(ResultError, match="no row in common"):
        compare(ours, ours.assign(time=2))
    with pytest.raises(ResultError, match="what was observed differs"):
        compare(ours, ours.assign(observed=1.0))
