"""Backtests whole: only the past is used, rows and refits are as asked, and a stopped one goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity.errors import ConfigError, PanelError, ResultError
from posterity.inference import compiled
from posterity.portfolio.backtest import Backtest, backtest
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.scores import score
from tests.entities import prior

TREND: dict[str, Any] = {
    "name": "trend",
    "data": {"entity": "shop", "target": "y", "time": "week"},
    "model": {
        "parameters": {"a": prior("Normal", mu=0, sigma=3), "b": prior("Normal", mu=0, sigma=1)},
        "quantities": {"m": {"expression": "a + b * week"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1)}},
    },
    "inference": {"method": "laplace", "draws": 250},
    "gates": {"ess": 100, "khat": 1.0},
}
LEVEL = {"parameters": {"a": prior("Normal", mu=0, sigma=3)}, "quantities": {"m": {"expression": "a"}}}
FLAT = TREND | {"name": "flat", "model": TREND["model"] | LEVEL}
ERRORS = {"errors": {"ar1": {"rho": prior("Beta", alpha=8, beta=2)}}}
DEPENDENT = TREND | {
    "name": "dependent",
    "model": {**TREND["model"], "likelihood": TREND["model"]["likelihood"] | ERRORS},
}
SCORED = ["mean", "median", "crps", "pinball", "lower_90", "upper_90", "inside_90", "absolute_error"]


@pytest.fixture(autouse=True, scope="module")
def interpreted() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


def panel(shops: int = 3, weeks: int = 16, seed: int = 1) -> pd.DataFrame:
    """Trends; the last shop starts at week 9, the first has nothing after week 8."""
    rng, frames = np.random.default_rng(seed), []
    for shop in range(shops):
        first = 9 if shop == shops - 1 else 1
        last = 8 if shop == 0 else weeks
        week = np.arange(first, last + 1)
        y = rng.normal(0, 2) + 0.3 * week + rng.normal(0, 0.3, len(week))
        frames.append(pd.DataFrame({"shop": f"s{shop}", "week": week, "y": y}))
    return pd.concat(frames, ignore_index=True)


def run(config: Any, table: Any, out: Path, **options: Any) -> Backtest:
    given = {"horizon": 2, "origins": 3, "workers": 0, **options}
    return backtest(config, table, out=out / "backtest", **given)


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    return run([TREND, FLAT], panel(), tmp_path_factory.mktemp("tested"), origins=6)


def test_a_backtest_is_what_fits_to_the_past_would_have_forecast(tmp_path: Path) -> None:
    table = panel()
    found = run(TREND, table, tmp_path).of("trend")
    assert found["origin"].unique().tolist() == [12, 13, 14]
    kept = TREND | {"inference": TREND["inference"] | {"keep": 1_000}}
    for origin in (12, 14):
        then = Portfolio(kept).fit(table[table["week"] <= origin], out=tmp_path / f"{origin}", workers=0)
        later = table[(table["week"] > origin) & (table["week"] <= origin + 2)]
        alone = score(then, later).reset_index(drop=True)
        rows = found[found["origin"] == origin].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            rows[["entity", "time", "observed", *SCORED]], alone[["entity", "time", "observed", *SCORED]]
        )
        assert rows["horizon"].tolist() == (rows["time"] - origin).tolist()


def test_nothing_after_the_origin_is_used(tmp_path: Path) -> None:
    table, changed = panel(), panel()
    changed.loc[changed["week"] > 12, "y"] += 100
    options: dict[str, Any] = {"origins": [12], "season": 4}
    one, two = (
        run(DEPENDENT, table, tmp_path / "1", **options),
        run(DEPENDENT, changed, tmp_path / "2", **options),
    )
    columns = ["configuration", "entity", "time", "mean", "median", "lower_90", "upper_90"]
    pd.testing.assert_frame_equal(one.scores[columns], two.scores[columns])
    # The twin: what was known at the origin does decide.
    changed = panel()
    changed.loc[changed["week"] == 12, "y"] += 1
    three = run(DEPENDENT, changed, tmp_path / "3", **options)
    for name in ("dependent", "naive", "drift"):
        assert (one.of(name)["mean"].to_numpy() != three.of(name)["mean"].to_numpy()).all()


def test_entities_are_there_from_their_first_row_to_their_last(tested: Backtest) -> None:
    assert sorted(tested.scores["entity"].unique()) == ["s1", "s2"]  # s0 has no rows after any origin
    early = tested.of("trend").query("origin == 12")
    assert sorted(early["entity"].unique()) == ["s1", "s2"]
    assert early["role"].isin(["established", "new"]).all()
    assert tested.about["origins"] == ["9", "10", "11", "12", "13", "14"]
    # s0 was fitted once, as nothing came after its week 8; s1 and s2 at every origin.
    assert tested.about["fits"] == {"trend": 13, "flat": 13}


def test_an_entity_that_had_not_started_is_not_there(tmp_path: Path) -> None:
    found = run(TREND, panel(), tmp_path, origins=[7, 9])
    at_seven = found.of("trend").query("origin == 7")
    assert set(at_seven["entity"]) == {"s0", "s1"}
    assert at_seven.query("entity == 's0'")["horizon"].tolist() == [1]  # its week 8, and then no more
    assert set(found.of("naive").query("origin == 7")["entity"]) == {"s0", "s1"}


def test_configurations_stand_side_by_side_on_the_same_rows(tested: Backtest) -> None:
    assert tested.names == ("trend", "flat", "naive", "drift")
    assert tested.configurations == ("trend", "flat")
    table = tested.summary()
    assert table["configuration"].tolist() == list(tested.names)
    assert table["rows"].nunique() == 1
    by = tested.summary(["configuration", "horizon"])
    assert by["horizon"].tolist() == [1, 2] * 4
    trend, flat = table["crps"][0], table["crps"][1]
    assert trend < 0.5 * flat
    gain = tested.compare("trend", "flat")
    assert gain.difference == pytest.approx(trend - flat)
    assert gain.entities == 2
    assert set(tested.summary(["configuration", "role"])["role"]) <= {"established", "new"}
    with pytest.raises(ConfigError, match="no configuration 'trends'"):
        tested.compare("trends", "flat")


def test_what_it_says_of_itself(tested: Backtest, capsys: pytest.CaptureFixture[str]) -> None:
    tested.show()
    text = capsys.readouterr().out
    assert "6 origins from 9 to 14, 2 steps of 1 ahead, refitted at every origin" in text
    assert "seasonal" not in text
    for name in tested.names:
        assert name in text
    assert repr(tested).startswith("<Backtest trend vs flat: 6 origins")


def test_a_backtest_is_found_again_and_survives_the_disk(tmp_path: Path) -> None:
    first = run(TREND, panel(), tmp_path)
    assert first.path == tmp_path / "backtest"
    assert not (first.path / "work").exists()

    def refuse(report: Any) -> None:
        raise AssertionError(f"fitted again: {report}")

    again = run(TREND, panel(), tmp_path, listen=refuse)
    pd.testing.assert_frame_equal(first.scores, again.scores)
    copied = Backtest.load(again.save(tmp_path / "copy").path or "")
    pd.testing.assert_frame_equal(first.scores, copied.scores)
    assert copied.about == first.about
    with pytest.raises(ResultError, match="holds another backtest"):
        run(TREND, panel(), tmp_path, horizon=1)
    Portfolio(TREND).fit(panel(), out=tmp_path / "fit", workers=0)
    with pytest.raises(ResultError, match="holds no backtest"):
        Backtest.load(tmp_path / "fit")


def test_a_stopped_backtest_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = run([TREND, FLAT], panel(), tmp_path / "whole")
    reports: list[Any] = []

    def stop(report: Any) -> None:
        reports.append(report)
        if len(reports) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([TREND, FLAT], panel(), tmp_path / "stopped", listen=stop)
    assert not (tmp_path / "stopped" / "backtest" / "manifest.json").exists()
    rest: list[Any] = []
    found = run([TREND, FLAT], panel(), tmp_path / "stopped", listen=rest.append)
    pd.testing.assert_frame_equal(whole.scores, found.scores)
    done = sum(sum(report.status.values()) for report in rest)
    assert done == sum(found.about["fits"].values())
    assert 0 < done < sum(whole.about["fits"].values())


def test_between_refits_the_last_posterior_forecasts_from_the_last_row(tmp_path: Path) -> None:
    table, moved = panel(), panel()
    moved.loc[moved["week"] == 13, "y"] += 1
    options: dict[str, Any] = {"every": 3}
    for config, follows in ((DEPENDENT, True), (TREND, False)):
        name = config["name"]
        one = run(config, table, tmp_path / f"{name} 1", **options)
        two = run(config, moved, tmp_path / f"{name} 2", **options)
        assert one.scores["fitted"].unique().tolist() == [12]
        assert one.about["fits"] == {name: 3}
        means = [b.of(name).query("origin == 13 and horizon == 1")["mean"].to_numpy() for b in (one, two)]
        # Errors that remember carry most of a surprise on to the next row; a trend alone waits for its refit.
        shift = means[1] - means[0]
        assert (shift > 0.4).all() if follows else (shift == 0).all()


def test_real_time_may_be_another_column_than_the_models(tmp_path: Path) -> None:
    table = panel()
    start = table.groupby("shop")["week"].transform("min")
    own = table.assign(
        date=pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * table["week"], unit="D"),
        week=table["week"] - start,
    )
    found = run(TREND, own.sample(frac=1, random_state=1), tmp_path, clock="date", origins=["2024-03-25"])
    scores = found.of("trend")
    assert scores["origin"].unique().tolist() == [pd.Timestamp("2024-03-25")]
    assert scores["time"].tolist() == [*pd.to_datetime(["2024-04-01", "2024-04-08"])] * 2
    assert scores["horizon"].tolist() == [1, 2] * 2
    assert found.about["step"] == "7 days"
    truth = own[own["date"] > "2024-03-25"].sort_values(["shop", "date"]).groupby("shop")["y"].head(2)
    np.testing.assert_array_equal(scores["observed"], truth)
    # Weeks since the start are no real time: s2 would be known long before it began.
    other = run(TREND, own, tmp_path / "other", origins=[4])
    assert len(other.of("trend")) > 4
    with pytest.raises(PanelError, match="'date' is missing in 1 of"):
        run(TREND, own.assign(date=own["date"].where(own.index != 3)), tmp_path / "x", clock="date")


def test_populations_are_learned_from_the_past_alone(tmp_path: Path) -> None:
    config = TREND | {"name": "taught", "transfer": {"established": {"min_rows": 8}}}
    table = panel(shops=6)
    found = run({"taught": config, "alone": TREND}, table, tmp_path, origins=[10, 12])
    roles = found.of("taught").groupby(["origin", "entity"])["role"].first()
    assert roles[10, "s5"] == "new"
    assert roles[10, "s1"] == "established"
    young = found.scores.query("entity == 's5' and origin == 12").groupby("configuration", observed=True)
    width = young["upper_90"].mean() - young["lower_90"].mean()
    assert width["taught"] < width["alone"]
    again = run({"taught": config}, table, tmp_path / "again", origins=[10, 12])
    pd.testing.assert_frame_equal(found.of("taught")[SCORED], again.of("taught")[SCORED])


def test_priors_that_may_know_the_future_are_told(tmp_path: Path) -> None:
    Portfolio(TREND).fit(panel(), out=tmp_path / "fit", workers=0)
    rules = [{"learn": "s1", "from": {"portfolio": str(tmp_path / "fit")}}]
    config = TREND | {"name": "second", "transfer": {"established": {"min_rows": 8}, "rules": rules}}
    found = run(config, panel(), tmp_path, origins=[12])
    (warning,) = found.about["warnings"]
    assert "second: priors from portfolio may know what came after" in warning
    assert warning in str(found)


def test_entities_that_cannot_be_fitted_are_no_forecasts_and_no_harm(tmp_path: Path) -> None:
    table = panel()
    table.loc[(table["shop"] == "s1") & (table["week"] == 3), "y"] = np.nan
    found = run(TREND, table, tmp_path)
    assert found.of("trend")["entity"].unique().tolist() == ["s2"]
    assert sorted(found.of("naive")["entity"].unique()) == ["s1", "s2"]
    assert found.common["entity"].unique().tolist() == ["s2"]
    assert found.about["forecasts"]["naive"] > found.about["forecasts"]["trend"]


BAD = {
    "horizon": ({"horizon": 0}, "horizon 0"),
    "every": ({"every": 0}, "every 0"),
    "origins": ({"origins": 0}, "origins 0"),
    "season": ({"season": -1}, "season -1"),
    "intervals": ({"intervals": (90,)}, "no masses"),
    "too long": ({"horizon": 40}, "no origin leaves"),
    "names": ({"names": ["a", "b"]}, "each needs a name"),
    "a baseline's name": ({"names": ["naive"]}, "each needs a name"),
    "step": ({"step": "1W"}, "no length of a step"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_run_is_told_before_anything_is_written(what: str, tmp_path: Path) -> None:
    options, said = BAD[what]
    with pytest.raises(ConfigError, match=said):
        run(TREND, panel(), tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_only_forecasts_of_the_same_thing_compete(tmp_path: Path) -> None:
    other = FLAT | {"data": {**FLAT["data"], "target": "z"}}
    with pytest.raises(ConfigError, match="the same thing"):
        run([TREND, other], panel().assign(z=1.0), tmp_path)
    with pytest.raises(ConfigError, match="no time column"):
        run(FLAT | {"data": {"entity": "shop", "target": "y"}}, panel(), tmp_path)
    clocked = run(FLAT | {"data": {"entity": "shop", "target": "y"}}, panel(), tmp_path, clock="week")
    assert clocked.about["clock"] == "week"
