"""What every tracker does: each test runs against memory and against MLflow on SQLite."""

import pickle
from pathlib import Path

import pytest

from posterity.tracking import Dataset, NewRun, Tracker, TrackingError
from posterity.tracking.tracker import PARENT


def test_a_run_begins_and_ends(tracker: Tracker) -> None:
    run_id = tracker.open(NewRun("fit", {"who": "me"}, started=1_000))
    run = tracker.get(run_id)
    assert (run.name, run.status, run.started, run.ended) == ("fit", "RUNNING", 1_000, None)
    assert run.tags["who"] == "me"
    tracker.close(run_id, "FINISHED", 2_000)
    assert (tracker.get(run_id).status, tracker.get(run_id).ended) == ("FINISHED", 2_000)


def test_children_know_their_parent(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, other = tracker.open(NewRun("parent")), tracker.open(NewRun("other"))
    monkeypatch.setenv("MLFLOW_RUN_ID", other)  # which MLflow's fluent functions would obey
    child = tracker.open(NewRun("child", parent=parent))
    tracker.log(child, metrics={"rhat": 1.0})
    assert tracker.get(child).tags[PARENT] == tracker.get(child).parent == parent
    assert [r.run_id for r in tracker.find(parent=parent)] == [child]
    assert tracker.get(other).metrics == {}


def test_runs_are_found_by_state(tracker: Tracker) -> None:
    open_, closed = tracker.open(NewRun("a")), tracker.open(NewRun("b"))
    tracker.close(closed, "FAILED")
    assert [r.run_id for r in tracker.find(status="RUNNING")] == [open_]
    assert {r.run_id for r in tracker.find()} == {open_, closed}


def test_more_than_a_batch_holds(tracker: Tracker) -> None:
    run_id = tracker.open(NewRun("many"))
    metrics = {f"mean/theta.{i}": float(i) for i in range(2_345)}
    params = {f"p{i}": "x" * 900 for i in range(345)}
    tracker.log(run_id, metrics=metrics, params=params, tags={f"t{i}": "y" for i in range(234)})
    run = tracker.get(run_id)
    assert run.metrics == metrics
    assert run.params == params
    assert run.tags["t233"] == "y"


def test_long_values_are_cut_and_hostile_ones_kept(tracker: Tracker) -> None:
    run_id = tracker.open(NewRun("line\nbreak " + "x" * 300, {"tag": "t" * 9_000}))
    tracker.log(
        run_id, params={"param": "p" * 7_000, "odd": "a\0b 🚀 'quoted'"}, tags={"note": "n\n" * 9_000}
    )
    run = tracker.get(run_id)
    assert run.name == "line break " + "x" * 108 + "…"
    assert (len(run.tags["tag"]), len(run.params["param"]), len(run.tags["note"])) == (8_000, 6_000, 8_000)
    assert run.params["odd"] == "a\N{REPLACEMENT CHARACTER}b 🚀 'quoted'"


def test_a_param_stays_what_it_is(tracker: Tracker) -> None:
    run_id = tracker.open(NewRun("fit"))
    tracker.log(run_id, params={"method": "nuts"})
    tracker.log(run_id, params={"method": "nuts"})
    with pytest.raises(TrackingError, match="method"):
        tracker.log(run_id, params={"method": "laplace"})


def test_the_last_metric_and_tag_count(tracker: Tracker) -> None:
    run_id = tracker.open(NewRun("fit"))
    for value in (1.0, 2.5):
        tracker.log(run_id, metrics={"mae": value}, tags={"state": str(value)})
    assert tracker.get(run_id).metrics == {"mae": 2.5}
    assert tracker.get(run_id).tags["state"] == "2.5"


@pytest.mark.parametrize("name", ["theta[0]", "../x", "a//b", "/a", "", "x" * 251, "a\nb"])
def test_a_bad_name_is_refused(tracker: Tracker, name: str) -> None:
    run_id = tracker.open(NewRun("fit"))
    with pytest.raises(TrackingError):
        tracker.log(run_id, metrics={name: 1.0})


def test_files_and_folders_are_stored(tracker: Tracker, tmp_path: Path) -> None:
    (tmp_path / "files" / "deep").mkdir(parents=True)
    (tmp_path / "files" / "a.csv").write_text("x\n1\n")
    (tmp_path / "files" / "deep" / "b.txt").write_text("b")
    run_id = tracker.open(NewRun("fit"))
    tracker.attach(run_id, tmp_path / "files")
    tracker.attach(run_id, tmp_path / "files" / "a.csv", "tables")
    assert tracker.artifacts(run_id) == ("a.csv", "deep/b.txt", "tables/a.csv")


def test_a_dataset_is_recorded_once(tracker: Tracker) -> None:
    data = Dataset("panel.parquet", "d" * 32, "data/panel.parquet", (("week", "long"), ("y", "double")), 52)
    run_id = tracker.open(NewRun("fit"))
    tracker.use(run_id, data)
    tracker.use(run_id, data)
    assert tracker.datasets(run_id) == (data,)


def test_a_dropped_run_is_out_of_sight(tracker: Tracker) -> None:
    run_id = tracker.open(NewRun("fit"))
    tracker.drop(run_id)
    assert tracker.find() == ()


@pytest.mark.parametrize("method", ["get", "artifacts", "datasets", "log", "drop"])
def test_an_unknown_run_is_an_error(tracker: Tracker, method: str) -> None:
    arguments = {"metrics": {"a": 1.0}} if method == "log" else {}
    with pytest.raises(TrackingError):
        getattr(tracker, method)("0" * 32, **arguments)


def test_a_tracker_pickles(tracker: Tracker) -> None:
    run_id = tracker.open(NewRun("fit"))
    copy = pickle.loads(pickle.dumps(tracker))
    assert copy.experiment == "adoption"
    assert copy.get(run_id).name == "fit"
