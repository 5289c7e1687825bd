import numpy as np
import pandas as pd
import pytest

from posterity.portfolio.backtest import Backtest
from posterity.portfolio.backtest.value import ordered
from posterity.report.backtest import MOST, backtest_figure, backtest_png, backtest_view
from tests.report.drawn import faults, size, texts

LONG = "a configuration whose name goes on and on until nobody can read it any more, and further"


def made(
    configurations: tuple[str, ...] = ("curve", "curve with transfer"), *, dates: bool = True, steps: int = 4
) -> Backtest:
    """Scores as a backtest leaves them: worse with every step, the second configuration the better one."""
    rng = np.random.default_rng(6)
    names = (*configurations, "naive", "drift", "seasonal naive")
    weeks = np.arange(12)
    start = np.datetime64("2021-06-07", "us")
    tables = []
    for number, name in enumerate(names):
        origin, entity, horizon = (
            a.ravel() for a in np.meshgrid(weeks, np.arange(30), np.arange(1, steps + 1))
        )
        week = np.timedelta64(7, "D")
        scale = (0.5 + 0.15 * number) * horizon**0.7 * (1 + 0.2 * np.sin(origin / 2))
        inside = {50: 0.5 - 0.03 * number, 90: 0.9 - 0.02 * number}
        tables.append(
            pd.DataFrame(
                {
                    "configuration": name,
                    "origin": start + week * origin if dates else origin,
                    "horizon": horizon,
                    "entity": [f"e{i:02d}" for i in entity],
                    "role": np.where(entity < 20, "established", "new"),
                    "time": start + week * (origin + horizon) if dates else origin + horizon,
                    "observed": 0.0,
                    "crps": scale * rng.gamma(4, 0.25, len(scale)) / 10,
                    "pinball": 0.1,
                    "absolute_error": 0.2,
                    **{f"inside_{p}": (rng.random(len(scale)) < q).astype(float) for p, q in inside.items()},
                }
            )
        )
    about = {
        "name": " vs ".join(configurations),
        "key": "0" * 64,
        "names": list(names),
        "configurations": list(configurations),
        "origins": ["2021-06-07", "2021-08-23"],
        "horizon": steps,
        "every": 2,
        "step": "7 days",
        "season": 4,
        "clock": "date",
        "intervals": [0.5, 0.9],
        "forecasts": dict.fromkeys(names, 1),
        "configs": {},
        "seconds": {"fit": 1.0},
    }
    return Backtest(ordered(pd.concat(tables, ignore_index=True), names), about)


@pytest.mark.parametrize("dates", [True, False])
@pytest.mark.parametrize(
    ("configurations", "steps"),
    [
        (("curve",), 1),
        (("curve", "curve with transfer"), 4),
        ((LONG, f"{LONG} still", "$x_1^2$ <b>", "emoji \N{ROCKET}", "e", "f", "g"), 13),
    ],
    ids=["one", "two", "many"],
)
def test_everything_can_be_read(configurations: tuple[str, ...], steps: int, dates: bool) -> None:
    view = backtest_view(made(configurations, dates=dates, steps=steps))
    assert view is not None
    figure = backtest_figure(view)
    assert faults(figure) == []
    said = " ".join(texts(figure))
    assert "Backtest of" in said
    assert "seasonal naive" in said
    assert len(view.lines) == min(MOST, len(configurations) + 3)
    assert ("are not drawn" in said) == (len(configurations) + 3 > MOST)


def test_the_numbers_are_those_of_the_summary() -> None:
    backtest = made()
    view = backtest_view(backtest)
    assert view is not None
    table = backtest.summary(["configuration", "horizon"])
    for line in view.lines:
        rows = table[table["configuration"] == line.name]
        np.testing.assert_allclose(line.crps, rows["crps"])
        np.testing.assert_allclose(line.coverage[1], rows["coverage_90"])
        np.testing.assert_allclose(line.coverage_se[0], rows["coverage_50_se"])
        assert len(line.over_time) == 12
        assert line.rival == (line.name in ("naive", "drift", "seasonal naive"))


def test_without_a_row_in_common_there_is_no_figure() -> None:
    backtest = made()
    apart = backtest.scores.copy()
    apart["time"] += np.timedelta64(1, "D") * apart["configuration"].cat.codes
    assert backtest_png(Backtest(apart, backtest.about)) is None
    image = backtest_png(backtest)
    assert image is not None
    assert size(image)[0] >= 1_000
