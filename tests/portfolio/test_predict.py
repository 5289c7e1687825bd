"""Predictions of rows that were not seen, against exact conditional distributions and simulated futures."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from posterity.errors import ConfigError, PanelError
from posterity.inference import compiled
from posterity.portfolio.horizon import next_rows
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.result import Result
from tests.entities import prior

TREND = {
    "parameters": {"a": prior("Normal", mu=0, sigma=3), "b": prior("Normal", mu=0, sigma=1)},
    "quantities": {"m": {"expression": "a + b * week"}},
    "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1)}},
}
DEPENDENT = TREND | {
    "likelihood": TREND["likelihood"] | {"errors": {"ar1": {"rho": prior("Beta", alpha=2, beta=2)}}}
}


@pytest.fixture(scope="module", autouse=True)
def interpreted() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


def portfolio(model: dict[str, Any], *, draws: int = 1_000, **data: Any) -> Portfolio:
    return Portfolio(
        {
            "name": "trend",
            "data": {"entity": "shop", "target": "y", "time": "week"} | data,
            "model": model,
            "inference": {"method": "laplace", "draws": draws, "keep": "all"},
            "gates": {"ess": 100, "khat": 1.0},
        }
    )


def simulated(shops: int, weeks: Any, rho: float, seed: int = 1) -> pd.DataFrame:
    """Trends with AR(1) errors at these weeks (ascending, gaps allowed)."""
    rng, frames = np.random.default_rng(seed), []
    for shop in range(shops):
        a, b, sigma = rng.normal(0, 3), rng.normal(0, 0.2), 0.5
        error = np.zeros(len(weeks))
        for i, gap in enumerate(np.diff(weeks, prepend=np.nan)):
            keep = 0.0 if i == 0 or rho == 0 else rho**gap
            error[i] = keep * error[i - 1] + sigma * np.sqrt((1 - keep**2) / (1 - rho**2)) * rng.normal()
        frames.append(pd.DataFrame({"shop": f"s{shop:02d}", "week": weeks, "y": a + b * weeks + error}))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def dependent(tmp_path_factory: pytest.TempPathFactory) -> Result:
    weeks = np.array([1.0, 2, 3, 5, 6, 7.5, 8, 9, 12, 13, 14, 15, 16, 17, 19, 20])
    table = simulated(2, weeks, 0.7)
    return portfolio(DEPENDENT, draws=2_500).fit(table, out=tmp_path_factory.mktemp("ar1") / "r", workers=0)


def exact(result: Result, shop: str, weeks: Any) -> Any:
    """For every draw the exact Gaussian of each week given ALL observed rows: means and sds, (draws,
    weeks).
    """
    seen = result.intervals[result.intervals["entity"] == shop]
    t, y = seen["time"].to_numpy(), seen["observed"].to_numpy()
    means, sds = [], []
    for draw in result.draws[result.draws["entity"] == shop].itertuples():
        every = np.concatenate([t, weeks])
        covariance = draw.sigma**2 / (1 - draw.rho**2) * draw.rho ** np.abs(every[:, None] - every)
        old, cross, new = (
            covariance[: len(t), : len(t)],
            covariance[len(t) :, : len(t)],
            covariance[len(t) :, len(t) :],
        )
        gain = np.linalg.solve(old, cross.T).T
        means.append(draw.a + draw.b * weeks + gain @ (y - draw.a - draw.b * t))
        sds.append(np.sqrt(np.diag(new - gain @ cross.T)))
    return np.array(means), np.array(sds)


def test_forecasts_with_dependent_errors_are_the_exact_conditional(dependent: Result) -> None:
    weeks = np.array([20.5, 21.0, 23.0, 40.0])
    found = dependent.predict(pd.DataFrame({"shop": "s01", "week": weeks}), interval=[0.5, 0.9])
    means, sds = exact(dependent, "s01", weeks)
    spread = np.sqrt((sds**2).mean(axis=0) + means.var(axis=0))
    error = spread / np.sqrt(dependent.entities["ess_bulk"].min())
    assert (np.abs(found["mean"] - means.mean(axis=0)) < 4 * error).all()
    np.testing.assert_allclose(found["expected_mean"], means.mean(axis=0), atol=1e-9)
    for name, p in (("lower_90", 0.05), ("lower_50", 0.25), ("median", 0.5), ("upper_90", 0.95)):
        share = stats.norm.cdf(found[name].to_numpy(), means, sds).mean(axis=0)
        np.testing.assert_allclose(share, p, atol=0.035)
    # They fan out from the last observation: near it tight, far from it as wide as the process.
    width = (found["upper_90"] - found["lower_90"]).to_numpy()
    assert width[0] < width[1] < width[2] < width[3]


def test_forgetting_the_last_observation_would_be_noticed(dependent: Result) -> None:
    """The twin: independent errors around the curve are another distribution at the next step."""
    found = dependent.predict(pd.DataFrame({"shop": "s01", "week": [20.5]}))
    draws = dependent.draws[dependent.draws["entity"] == "s01"]
    curve, sd = draws["a"] + draws["b"] * 20.5, draws["sigma"] / np.sqrt(1 - draws["rho"] ** 2)
    share = stats.norm.cdf(found["upper_90"][0], curve, sd).mean()
    assert abs(share - 0.95) > 0.04


def test_rows_before_the_first_observation_have_the_stationary_spread(dependent: Result) -> None:
    found = dependent.predict(pd.DataFrame({"shop": "s00", "week": [-30.0]}))
    draws = dependent.draws[dependent.draws["entity"] == "s00"]
    curve, sd = draws["a"] - 30 * draws["b"], draws["sigma"] / np.sqrt(1 - draws["rho"] ** 2)
    assert stats.norm.cdf(found["lower_90"][0], curve, sd).mean() == pytest.approx(0.05, abs=0.03)


@pytest.fixture(scope="module")
def trends(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, pd.DataFrame]:
    """Sixty shops fitted on 20 weeks, and the ten weeks after."""
    table = simulated(60, np.arange(1.0, 31), 0.0)
    seen = table[table["week"] <= 20]
    result = portfolio(TREND, draws=500).fit(seen, out=tmp_path_factory.mktemp("trend") / "r", workers=0)
    return result, table[table["week"] > 20].reset_index(drop=True)


@pytest.mark.parametrize("mass", [0.5, 0.9])
def test_intervals_of_future_rows_hold_their_share(trends: Any, mass: float) -> None:
    """Rows of a shop share its posterior, so the standard error is taken over the 60 shops."""
    result, later = trends
    found = result.predict(later.drop(columns="y"), interval=mass)
    lower, upper = f"lower_{mass * 100:.0f}", f"upper_{mass * 100:.0f}"
    inside = (found[lower] <= later["y"]) & (later["y"] <= found[upper])
    by_shop = inside.groupby(later["shop"]).mean()
    assert abs(by_shop.mean() - mass) < 3.5 * by_shop.std() / np.sqrt(60)
    # The twin: intervals of the curve alone hold far fewer.
    curve = (found[f"expected_{lower}"] <= later["y"]) & (later["y"] <= found[f"expected_{upper}"])
    assert curve.mean() < mass - 0.1


def test_every_row_asked_for_comes_back_once_in_order(trends: Any) -> None:
    result, later = trends
    shuffled = later.drop(columns="y").sample(frac=1, random_state=1)
    found = result.predict(shuffled)
    assert len(found) == len(later)
    pd.testing.assert_frame_equal(found[["shop", "week"]], later[["shop", "week"]], check_dtype=False)


@pytest.mark.parametrize("mass", [0, 1, 1.0, -0.1, 90, [], [0.5, 1.5]])
def test_masses_that_are_none_are_refused(trends: Any, mass: Any) -> None:
    with pytest.raises(ConfigError, match="is no mass between 0 and 1"):
        trends[0].predict(pd.DataFrame({"shop": ["s00"], "week": [21.0]}), interval=mass)


BAD_ROWS = {
    "unknown entity": (pd.DataFrame({"shop": ["s99"], "week": [21.0]}), "'s99'"),
    "no input": (pd.DataFrame({"shop": ["s00"]}), "no column 'week'"),
    "no entity column": (pd.DataFrame({"week": [21.0]}), "no column 'shop'"),
    "no rows": (
        pd.DataFrame({"shop": pd.Series([], dtype=str), "week": pd.Series([], dtype=float)}),
        "no rows",
    ),
    "text": (pd.DataFrame({"shop": ["s00"], "week": ["soon"]}), "'week'"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_rows_that_cannot_be_predicted_say_why(trends: Any, name: str) -> None:
    rows, fragment = BAD_ROWS[name]
    with pytest.raises(PanelError, match=fragment):
        trends[0].predict(rows)


def test_entities_without_a_posterior_give_missing_values(tmp_path: Path) -> None:
    table = simulated(2, np.arange(1.0, 21), 0.0)
    table.loc[3, "y"] = np.nan
    result = portfolio(TREND).fit(table, out=tmp_path / "r", workers=0)
    found = result.predict(pd.DataFrame({"shop": ["s00", "s01"], "week": [21.0, 21.0]}))
    assert found["status"].tolist() == ["failed", "ok"]
    assert found["mean"].isna().tolist() == [True, False]


def test_the_next_rows_follow_at_every_entitys_own_step(tmp_path: Path) -> None:
    table = simulated(2, np.arange(2.0, 42, 2), 0.0)
    table.loc[table["shop"] == "s01", "week"] *= 3
    result = portfolio(TREND).fit(table, out=tmp_path / "r", workers=0)
    found = next_rows(result, 2)
    assert found["shop"].tolist() == ["s00", "s00", "s01", "s01"]
    assert found["week"].tolist() == [42.0, 44.0, 126.0, 132.0]
    with pytest.raises(ConfigError, match="at least 1"):
        next_rows(result, 0)


def test_the_next_rows_of_dates_are_dates(tmp_path: Path) -> None:
    table = simulated(1, np.arange(1.0, 21), 0.0)
    table["week"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * table["week"], unit="D")
    model = TREND | {"quantities": {"m": {"expression": "a + b * (week - 19723) / 7"}}}
    result = portfolio(model).fit(table, out=tmp_path / "r", workers=0)
    found = next_rows(result, 2)
    assert found["week"].tolist() == [pd.Timestamp("2024-05-27"), pd.Timestamp("2024-06-03")]
    assert result.predict(found)["mean"].notna().all()


def test_horizon_needs_a_model_of_time_alone(tmp_path: Path) -> None:
    model = TREND | {"quantities": {"m": {"expression": "a + b * price"}}}
    table = simulated(1, np.arange(1.0, 21), 0.0).assign(price=1.0)
    result = portfolio(model).fit(table, out=tmp_path / "r", workers=0)
    with pytest.raises(ConfigError, match="the model also needs price"):
        next_rows(result, 3)
