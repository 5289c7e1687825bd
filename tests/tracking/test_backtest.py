"""A backtest as a run of its own, in both trackers."""

import pandas as pd
import pytest

from posterity.tracking import MemoryTracker, Tracker
from posterity.tracking.backtest import markdown, metrics, note, params, track_backtest
from posterity.tracking.tracker import NOTE, TAG_CHARACTERS
from tests.report.test_backtest import LONG, made


def test_the_run_holds_metrics_tables_and_the_figure(tracker: Tracker) -> None:
    backtest = made()
    run_id = track_backtest(backtest, tracker=tracker, tags={"who": "a test"})
    run = tracker.get(run_id)
    assert run.status == "FINISHED"
    assert run.tags["posterity.kind"] == "backtest"
    assert run.tags["run_key"] == backtest.about["key"]
    assert run.tags["who"] == "a test"
    table = backtest.summary().set_index("configuration")
    assert run.metrics["crps.curve"] == pytest.approx(table.loc["curve", "crps"])
    assert run.metrics["coverage_90.naive"] == pytest.approx(table.loc["naive", "coverage_90"])
    naive = table.loc["naive", "crps"]
    assert run.metrics["skill.curve"] == pytest.approx(1 - table.loc["curve", "crps"] / naive)
    assert run.metrics["skill.naive"] == 0
    steps = backtest.summary(["configuration", "horizon"]).set_index(["configuration", "horizon"])
    assert run.metrics["crps.curve with transfer.3"] == pytest.approx(
        steps.loc[("curve with transfer", 3), "crps"]
    )
    assert run.params["horizon"] == "4"
    assert run.params["first_origin"] == "2021-06-07"
    by = {f"by_{name}.csv" for name in ("configuration", "horizon", "origin", "role", "entity")}
    assert by | {"scores.parquet", "backtest.json", "backtest.png"} <= set(tracker.artifacts(run_id))


def test_the_note_fits_whatever_configurations_are_called() -> None:
    backtest = made(tuple(f"{LONG} | {i} *" for i in range(60)), steps=2)
    text = note(backtest)
    assert len(text) <= TAG_CHARACTERS
    assert "&#124;" in text  # a name breaks no table
    assert len(markdown(backtest).splitlines()) == 2 + 63
    tracker = MemoryTracker("many")
    run = tracker.get(track_backtest(backtest, tracker=tracker))
    assert run.tags[NOTE] == text
    assert len(run.metrics) > 60 * 6


def test_without_rows_in_common_there_are_no_scores() -> None:
    backtest = made()
    apart = backtest.scores.assign(
        time=backtest.scores["time"] + pd.to_timedelta(backtest.scores["configuration"].cat.codes, unit="D")
    )
    from dataclasses import replace

    empty = replace(backtest, scores=apart)
    assert set(metrics(empty)) == {"seconds_fit"}
    assert params(empty)["configurations"] == "curve, curve with transfer"
    tracker = MemoryTracker("none")
    assert "backtest.png" not in tracker.artifacts(track_backtest(empty, tracker=tracker))
