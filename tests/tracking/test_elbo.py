"""The curve of a bound: a metric with steps on the run it belongs to, a figure, and a table of the result."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio, Result
from posterity.report.elbo import elbo_figure, elbo_view
from posterity.report.figures import KINDS
from posterity.tracking import MemoryTracker, NewRun, Tracker, track
from tests.entities import prior
from tests.report.drawn import faults


def fit(out: Path, **inference: Any) -> Result:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"shop": np.repeat(["a", "b"], 30), "y": rng.normal(1, 1, 60)})
    model = {
        "parameters": {"level": prior("Normal", mu=0, sigma=3)},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "level", "sigma": 1}},
    }
    values = {"name": "bound", "data": {"entity": "shop", "target": "y"}, "model": model}
    return Portfolio(values | {"inference": {"draws": 250, **inference}}).fit(rows, out=out, workers=0)


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return fit(tmp_path_factory.mktemp("separate") / "run", method="advi", minibatch=10)


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return fit(tmp_path_factory.mktemp("joint") / "run", method="advi", pooling="joint", steps=1_000)


def test_a_result_has_a_curve_of_every_entity(separate: Result) -> None:
    assert "elbo.parquet" in separate.manifest.files
    table = separate.elbo
    assert table is not None
    assert table.columns.tolist() == ["entity", "step", "elbo"]
    assert table["entity"].drop_duplicates().tolist() == ["a", "b"]
    assert (table.groupby("entity").size() <= 200).all()
    assert separate.entities["khat"].notna().all()
    for _, own in table.groupby("entity"):
        assert own["step"].is_monotonic_increasing
        assert own["elbo"].iloc[-20:].mean() > own["elbo"].iloc[0] + 1
    separate.verify()


def test_a_joint_model_has_one_curve_of_nobody_and_its_khat(joint: Result) -> None:
    assert joint.elbo is not None
    assert joint.elbo["entity"].isna().all()
    assert joint.elbo["step"].max() == 1_000
    assert joint.entities["khat"].nunique() == 1
    assert joint.entities["reason"].str.contains("stopped after 1,000 steps").all()


def test_other_methods_have_none(tmp_path: Path) -> None:
    result = fit(tmp_path / "run")
    assert "elbo.parquet" not in result.manifest.files
    assert result.elbo is None
    assert KINDS["elbo"](result) is None


def test_a_refit_keeps_the_curves_of_those_it_leaves_alone(separate: Result, tmp_path: Path) -> None:
    more = pd.DataFrame({"shop": ["b"] * 5, "y": np.linspace(0, 2, 5)})
    rows = pd.concat([pd.DataFrame(separate.table("rows.parquet").to_pandas())[["shop", "y"]], more])
    later = separate.refit(rows, out=tmp_path / "later", workers=0)
    before, after = separate.elbo, later.elbo
    assert before is not None
    assert after is not None
    pd.testing.assert_frame_equal(before[before["entity"] == "a"], after[after["entity"] == "a"])
    assert set(after["entity"]) == {"a", "b"}


def test_figures_can_be_read(separate: Result, joint: Result) -> None:
    for result, entity in ((separate, None), (separate, "a"), (joint, None)):
        view = elbo_view(result, entity)
        assert view is not None
        assert faults(elbo_figure(view)) == []
    assert elbo_view(joint, "a") is None


def test_entity_runs_have_their_curve_and_the_joint_models_is_the_parents(
    separate: Result, joint: Result, tracker: Tracker
) -> None:
    parent = track(separate, tracker=tracker).run_id
    children = {run.tags["entity"]: run.run_id for run in tracker.find(parent=parent)}
    table = separate.elbo
    assert table is not None
    own = table[table["entity"] == "b"]
    points = tracker.curve(children["b"], "elbo")
    assert [step for step, _ in points] == own["step"].tolist()
    assert [value for _, value in points] == pytest.approx(own["elbo"].tolist())
    assert tracker.curve(parent, "elbo") == ()
    assert "elbo.png" in tracker.artifacts(children["b"])
    assert {"figures/elbo.png", "tables/elbo.parquet"} <= set(tracker.artifacts(parent))
    second = track(joint, tracker=tracker).run_id
    assert len(tracker.curve(second, "elbo")) == 200
    assert not any("elbo" in run.metrics for run in tracker.find(parent=second))


def test_a_curve_is_kept_step_by_step(tracker: Tracker) -> None:
    run_id = tracker.open(NewRun("fit"))
    points = [(step, float(step) ** 0.5) for step in range(1, 1_502)]
    tracker.log_curve(run_id, "elbo", points)
    assert list(tracker.curve(run_id, "elbo")) == points
    assert tracker.get(run_id).metrics["elbo"] == pytest.approx(1_501**0.5)
    assert tracker.curve(run_id, "other") == ()


def test_memory_has_a_curve_of_single_metrics_too() -> None:
    tracker = MemoryTracker("x")
    run_id = tracker.open(NewRun("fit"))
    tracker.log(run_id, metrics={"mae": 2.0})
    assert tracker.curve(run_id, "mae") == ((0, 2.0),)
