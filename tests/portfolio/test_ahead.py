"""Models that remember the rows before, from the configuration to forecasts, refits and scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity.inference import compiled
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.result import Result
from posterity.portfolio.scores import score
from tests.entities import prior

DRIFT, NOISE = 0.4, 0.2


@pytest.fixture(scope="module", autouse=True)
def interpreted() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


def portfolio() -> Portfolio:
    return Portfolio(
        {
            "name": "walks",
            "data": {"entity": "shop", "target": "y", "time": "day"},
            "model": {
                "parameters": {
                    "slope": prior("Normal", mu=0, sigma=1),
                    "sigma": prior("HalfNormal", sigma=1),
                },
                "history": {"before": {"of": "y"}, "last": {"of": "day"}},
                "quantities": {
                    "gap": {"expression": "day - last"},
                    "m": {"expression": "before + gap * slope"},
                    "s": {"expression": "sigma * sqrt(gap)"},
                },
                "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": "s"}},
            },
            "inference": {"method": "laplace", "keep": "all"},
            "gates": {"ess": 100, "khat": 1.0},
            "refit": {"every": 8},
        }
    )


@pytest.fixture(scope="module")
def panel() -> pd.DataFrame:
    """Two random walks over dates, with a gap of three days in them."""
    rng = np.random.default_rng(4)
    days = np.delete(np.arange(60), [20, 21])
    steps = np.diff(days, prepend=0)
    frames = [
        pd.DataFrame(
            {
                "shop": shop,
                "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(days, unit="D"),
                "y": 50 + np.cumsum(DRIFT * steps + NOISE * np.sqrt(steps) * rng.normal(size=len(days))),
            }
        )
        for shop in ("a", "b")
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def fitted(panel: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Result:
    known = panel[panel["day"] < "2026-02-20"]
    return portfolio().fit(known, out=tmp_path_factory.mktemp("walks") / "r", workers=0)


def test_dates_give_steps_in_days_and_nobody_is_lost(fitted: Result) -> None:
    assert set(fitted.entities["status"]) == {"ok"}
    slope = fitted.parameters.query("parameter == 'slope'")
    assert (np.abs(slope["mean"] - DRIFT) < 4 * slope["sd"]).all()
    assert (slope["sd"] < 0.06).all()


def test_forecasts_start_at_the_last_row_and_fan_out(fitted: Result) -> None:
    days = pd.Timestamp("2026-02-20") + pd.to_timedelta([0, 1, 8], unit="D")
    found = fitted.predict(pd.DataFrame({"shop": "a", "day": days}))
    seen = fitted.intervals.query("entity == 'a'")["observed"].iloc[-1]
    np.testing.assert_allclose(found["mean"], seen + DRIFT * np.array([1, 2, 9]), atol=0.6)
    width = (found["upper_90"] - found["lower_90"]).to_numpy()
    assert width[0] == pytest.approx(2 * 1.645 * NOISE, rel=0.3)
    assert width[0] < width[1] < width[2]


@pytest.mark.parametrize("mode", ["exact", "carry"])
def test_a_refit_with_a_chunk_alone_knows_the_rows_before_it(
    fitted: Result, panel: pd.DataFrame, mode: str, tmp_path: Path
) -> None:
    later = fitted.refit(panel[panel["day"] >= "2026-02-20"], out=tmp_path / mode, mode=mode, workers=0)
    whole = portfolio().fit(panel, out=tmp_path / "whole", workers=0)
    ours, theirs = (r.parameters.set_index(["entity", "parameter"]) for r in (later, whole))
    shift = (ours["mean"] - theirs["mean"]) / theirs["sd"]
    # A chunk whose first row was taken as given again would lose a row of 58; one that began anew at 0 all.
    assert shift.abs().max() < 0.3
    assert (ours["sd"] / theirs["sd"]).between(0.85, 1.15).all()
    days = panel["day"].max() + pd.to_timedelta([1, 2], unit="D")
    rows = pd.DataFrame({"shop": "b", "day": days, "y": [75.0, 75.0]})
    told = [score(r, rows)["mean"].to_numpy() for r in (later, whole)]
    np.testing.assert_allclose(told[0], told[1], atol=0.1)
