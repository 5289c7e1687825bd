"""Steps of time, origins, and the baselines' forecasts, each against values worked out by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity.errors import ConfigError
from posterity.portfolio.backtest.baselines import DRIFT, NAIVE, POINTS, SEASONAL, Past, forecasts
from posterity.portfolio.backtest.steps import LAST, Steps, origins_of

WEEKS = np.arange(0, 10)
ONE = np.zeros(10, dtype=np.int64)


def dates(start: str, periods: int, freq: str) -> Any:
    return pd.date_range(start, periods=periods, freq=freq).to_numpy().astype("datetime64[us]")


def test_the_step_is_the_panels_own_spacing() -> None:
    assert Steps.of(None, np.concatenate([WEEKS, 5 * WEEKS]), np.repeat([0, 1], 10)).length in (1, 3, 5)
    assert Steps.of(None, WEEKS * 2.0, ONE).length == 2
    assert str(Steps.of(None, dates("2024-01-01", 10, "7D"), ONE)) == "7 days"
    assert str(Steps.of(None, dates("2024-01-01", 10, "MS"), ONE)) == "1 month"
    assert str(Steps.of(None, dates("2023-01-31", 10, "QE"), ONE)) == "3 months"
    # Every 30 days is no month: the days of the month differ.
    assert str(Steps.of(None, dates("2024-01-01", 10, "30D"), ONE)) == "30 days"


@pytest.mark.parametrize("step", [0, -1, "week", "0W", np.inf])
def test_steps_that_are_none_are_refused(step: Any) -> None:
    with pytest.raises(ConfigError, match="no length of a step"):
        Steps.of(step, dates("2024-01-01", 10, "7D"), ONE)


def test_spans_of_a_calendar_need_dates() -> None:
    with pytest.raises(ConfigError, match="no length of a step"):
        Steps.of("1W", WEEKS, ONE)


def test_steps_ahead_are_rounded_up() -> None:
    steps = Steps.of(7, dates("2024-01-01", 10, "7D"), ONE)
    origin = np.datetime64("2024-01-15", "us")
    days = np.array(
        ["2024-01-08", "2024-01-15", "2024-01-16", "2024-01-22", "2024-01-23"], dtype="datetime64[us]"
    )
    assert steps.ahead(origin, days).tolist() == [-1, 0, 1, 1, 2]
    # Floating point does not push a time over its boundary.
    tenths = Steps.of(0.1, WEEKS / 10, ONE)
    assert tenths.ahead(0.3, np.array([0.4, 0.6, 0.7])).tolist() == [1, 3, 4]


def test_months_are_those_of_the_calendar() -> None:
    steps = Steps.of("1M", dates("2024-01-31", 10, "ME"), ONE)
    origin = np.datetime64("2024-01-31", "us")
    ends = dates("2023-11-30", 6, "ME")
    assert steps.ahead(origin, ends).tolist() == [-2, -1, 0, 1, 2, 3]
    assert steps.shift(origin, 1) == np.datetime64("2024-02-29")
    # Two months after the last of January is the last of March: months are not added to one another.
    assert steps.shift(origin, 2) == np.datetime64("2024-03-31")


def test_origins_leave_a_whole_horizon() -> None:
    steps = Steps.of(None, WEEKS, ONE)
    assert origins_of(steps, WEEKS, 3, 4, None) == (3, 4, 5, 6)
    assert origins_of(steps, WEEKS, 3, None, 5) == (5, 6)
    assert origins_of(steps, WEEKS, 3, [7, 2], None) == (2, 7)
    assert len(origins_of(steps, np.arange(100), 3, None, None)) == LAST
    for horizon, origins, start in ((10, None, None), (3, None, 8)):
        with pytest.raises(ConfigError, match="no origin leaves"):
            origins_of(steps, WEEKS, horizon, origins, start)
    for given in ([9], [-1], []):
        with pytest.raises(ConfigError, match="origins must lie"):
            origins_of(steps, WEEKS, 3, given, None)
    with pytest.raises(ConfigError, match="'soon' is no time"):
        origins_of(steps, WEEKS, 3, ["soon"], None)


def past(*values: float) -> Past:
    found = Past.of(np.arange(1 - len(values), 1), np.array(values))
    assert found is not None
    return found


def test_naive_forecasts_stay_at_the_last_value_and_spread_as_the_past_did() -> None:
    pasts = {"a": past(0, 1, 3, 6, 10, 15)}
    one, two = forecasts(pasts, [("a", 1), ("a", 2)], NAIVE, None)
    assert len(one) == POINTS
    assert np.median(one) == pytest.approx(15)
    # One step: changes 1 to 5 with both signs; two: 3, 5, 7, 9.
    assert (one[0], one[-1]) == pytest.approx((10, 20), abs=0.06)
    assert (two[0], two[-1]) == pytest.approx((6, 24), abs=0.1)


def test_drift_adds_the_changes_of_the_past() -> None:
    (one,) = forecasts({"a": past(0, 1, 3, 6, 10, 15)}, [("a", 1)], DRIFT, None)
    assert np.median(one) == pytest.approx(18)
    assert (one[0], one[-1]) == pytest.approx((16, 20), abs=0.03)


def test_the_lead_counts_from_the_last_row_that_is_there() -> None:
    nan = float("nan")
    (gap,) = forecasts({"a": past(0, 1, 3, 6, 10, 15, nan)}, [("a", 1)], DRIFT, None)
    (two,) = forecasts({"a": past(0, 1, 3, 6, 10, 15)}, [("a", 2)], DRIFT, None)
    np.testing.assert_allclose(gap, two)


def test_short_entities_borrow_the_changes_of_the_others() -> None:
    pasts = {"long": past(*np.arange(0, 40, 2.0)), "short": past(5)}
    (short,) = forecasts(pasts, [("short", 3)], DRIFT, None)
    np.testing.assert_allclose(short, 11)
    assert np.isnan(forecasts({"short": past(5)}, [("short", 3)], DRIFT, None)).all()
    assert np.isnan(forecasts({}, [("short", 3)], DRIFT, None)).all()


def test_seasonal_forecasts_repeat_the_last_season() -> None:
    pasts = {"a": past(*[10, 20, 30, 40] * 4)}
    found = forecasts(pasts, [("a", k) for k in (1, 2, 4, 5)], SEASONAL, 4)
    np.testing.assert_allclose(found.mean(axis=1), [10, 20, 40, 10])
    assert np.ptp(found) == 30
    assert np.isnan(forecasts({"a": past(1, 2)}, [("a", 1)], SEASONAL, 4)).all()


def test_baselines_of_random_walks_are_calibrated() -> None:
    rng = np.random.default_rng(3)

    def coverage(points: Any, observed: Any) -> float:
        return float(((points[:, 5] < observed) & (observed < points[:, -6])).mean())  # 90 %

    walks = np.cumsum(rng.normal(size=(400, 62)), axis=1)
    pasts = {str(i): past(*walk[:60]) for i, walk in enumerate(walks)}
    for rule in (NAIVE, DRIFT):
        points = forecasts(pasts, [(str(i), 2) for i in range(400)], rule, None)
        assert 0.84 < coverage(points, walks[:, 61]) < 0.95
        # The twin: what holds for one step is too narrow for two.
        short = forecasts(pasts, [(str(i), 1) for i in range(400)], rule, None)
        assert coverage(short, walks[:, 61]) < 0.8
    assert coverage(forecasts(pasts, [(str(i), 1) for i in range(400)], NAIVE, None), walks[:, 60]) > 0.84
