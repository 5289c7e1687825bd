"""A whole result, recorded in memory and in MLflow: what is there is what a reviewer needs."""

import io
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from posterity.errors import PosterityError
from posterity.portfolio.result import Result, open_result
from posterity.tracking import MemoryTracker, Run, Tracked, Tracker, connect, rendering, started, track
from posterity.tracking.tracker import NOTE
from tests.portfolio.example import FAILED, LONG, entity_names


@dataclass(frozen=True)
class Record:
    tracked: Tracked
    tracker: Tracker

    @property
    def parent(self) -> Run:
        return self.tracker.get(self.tracked.run_id)

    @property
    def children(self) -> dict[str, Run]:
        return {r.tags["entity"]: r for r in self.tracker.find(parent=self.tracked.run_id)}


@pytest.fixture(scope="module")
def kept(result: Result) -> Record:
    """The example in memory; tests that change it take a copy."""
    tracker = MemoryTracker("example")
    return Record(track(result, tracker=tracker, tags={"who": "me"}), tracker)


@pytest.fixture(scope="module", params=["memory", "mlflow"])
def record(
    request: pytest.FixtureRequest,
    result: Result,
    kept: Record,
    tmp_path_factory: pytest.TempPathFactory,
    database: Callable[[Path], str],
) -> Iterator[Record]:
    """The example with `who: me` on the parent, recorded in one process."""
    if request.param == "memory":
        yield kept
    else:
        uri = database(tmp_path_factory.mktemp("runs"))
        yield Record(track(result, uri=uri, tags={"who": "me"}), connect(uri, "example"))


def test_every_entity_has_a_run_under_the_parent(record: Record) -> None:
    assert set(record.children) == set(entity_names())
    assert record.tracked.children == len(entity_names())
    assert record.tracked.troubled == 0
    assert record.tracked.run_id in record.tracked.fragment
    assert record.tracker.find(status="RUNNING") == ()


def test_failed_fits_are_failed_runs(record: Record) -> None:
    assert record.parent.status == "FINISHED"
    states = {e: r.status for e, r in record.children.items()}
    assert states.pop(FAILED) == "FAILED"
    assert set(states.values()) == {"FINISHED"}
    assert record.children[FAILED].tags["reason"].startswith("no method gave a posterior")


def test_the_parent_sums_up(record: Record, result: Result) -> None:
    values = record.parent.metrics
    assert values["entities"] == 12
    assert (values["entities_ok"], values["entities_flagged"], values["entities_failed"]) == (9, 2, 1)
    assert values["share_failed"] == pytest.approx(1 / 12, rel=1e-5)
    assert values["rhat"] == 1.034
    fitted = result.entities.dropna(subset=["coverage_90"])
    weighted = (fitted.coverage_90 * fitted.n_rows).sum() / fitted.n_rows.sum()
    assert values["coverage_90"] == pytest.approx(weighted, rel=1e-5)
    assert values["coverage_90"] != pytest.approx(fitted.coverage_90.mean(), rel=1e-5)
    assert values["divergences"] == 6
    assert record.parent.params["model.parameters.lambda_val.dist"] == "HalfNormal"
    assert record.parent.params["data.entity"] == '["product", "region"]'
    assert record.parent.tags["who"] == "me"
    assert {"config_hash", "data_hash", "code_hash", "run_key"} <= set(record.parent.tags)


def test_a_child_holds_what_a_reviewer_sorts_by(record: Record, result: Result) -> None:
    child = record.children["alpha / south"]
    row = result.entity_row("alpha / south")
    assert child.metrics["rhat"] == 1.034
    assert child.metrics["mae"] == pytest.approx(row["mae"], rel=1e-5)
    theta = result.parameters.query("entity == 'alpha / south' and parameter == 'theta[1]'").iloc[0]
    assert child.metrics["mean/theta.1"] == pytest.approx(theta["mean"], rel=1e-5)
    assert child.metrics["sd/z.north"] > 0
    assert "khat" not in child.metrics  # null for nuts
    assert child.params["product"] == "alpha"
    assert child.params["region"] == "south"
    assert child.tags["status"] == "flagged"
    assert child.tags["fit_key"] == row["fit_key"]
    assert all(child.tags[k] for k in ("config_hash", "data_hash", "prior_hash", "code_hash"))
    assert child.tags["data_hash"] != record.children["alpha / north"].tags["data_hash"]


def test_hostile_names_stay_whole_in_tags_and_short_in_run_names(record: Record) -> None:
    for entity, run in record.children.items():
        assert run.name.isprintable()
        assert len(run.name) <= 120
        assert run.tags["entity"] == entity
    assert any(LONG[:200] in entity for entity in record.children)


def test_artifacts_do_not_depend_on_names(record: Record) -> None:
    whole = {"figure.png", "intervals.csv", "parameters.csv", "trace.nc"}
    for entity, run in record.children.items():
        found = set(record.tracker.artifacts(run.run_id))
        assert found == ({"figure.png", "intervals.csv"} if entity == FAILED else whole)
    found = set(record.tracker.artifacts(record.parent.run_id))
    assert {
        "config.yaml",
        "lineage.json",
        "entities.csv",
        "tables/draws.parquet",
        "figures/worst.png",
    } <= found


def test_the_panel_is_a_dataset_input(record: Record) -> None:
    (data,) = record.tracker.datasets(record.parent.run_id)
    assert (data.name, data.source, data.rows) == ("example.parquet", "data/example.parquet", 11 * 12 + 1)
    assert len(data.digest) <= 36
    assert ("adoption", "double") in data.columns


def test_the_note_fits_and_names_the_worst(record: Record) -> None:
    note = record.parent.tags[NOTE]
    assert len(note) <= 8_000
    assert "**1** failed" in note
    rows = [line for line in note.splitlines() if line.startswith("| [")]
    assert [r.split("]")[0][3:] for r in rows] == [FAILED, "a/b / south", "alpha / south"]
    assert all(line.count("|") == 5 for line in rows)
    assert record.children[FAILED].run_id in rows[0]


@pytest.fixture
def memory(kept: Record) -> MemoryTracker:
    copy = pickle.loads(pickle.dumps(kept.tracker))
    assert isinstance(copy, MemoryTracker)
    return copy


def test_files_can_be_read_again(memory: MemoryTracker, result: Result, tmp_path: Path) -> None:
    (parent,) = [r for r in memory.runs.values() if r.parent is None]
    table = pd.read_csv(io.BytesIO(memory.files[parent.run_id]["entities.csv"]))
    assert list(table.status[:4]) == ["failed", "flagged", "flagged", "ok"]
    assert set(table.entity) == set(entity_names())
    (child,) = [r for r in memory.runs.values() if r.tags.get("entity") == "alpha / north"]
    (tmp_path / "trace.nc").write_bytes(memory.files[child.run_id]["trace.nc"])
    with xr.open_datatree(tmp_path / "trace.nc", engine="h5netcdf") as trace:
        assert trace["posterior"]["theta"].dtype == "float32"
        assert trace["posterior"]["theta"].dims == ("chain", "draw", "spline")
        expected = result.trace("alpha / north")["posterior"]["lambda_val"]
        xr.testing.assert_allclose(trace["posterior"]["lambda_val"].astype(float), expected, rtol=1e-6)


def test_recording_twice_in_a_run_adds_what_is_missing(memory: MemoryTracker, result: Result) -> None:
    (parent,) = [r.run_id for r in memory.runs.values() if r.parent is None]
    done = {r.run_id for r in memory.find(parent=parent, status="FINISHED")}
    half = done.pop()
    memory.runs[half] = replace(memory.runs[half], status="KILLED")
    again = track(result, tracker=memory, run_id=parent)
    children = memory.find(parent=parent)
    assert again.children == len(children) == len(entity_names())
    assert done < {r.run_id for r in children}
    assert half not in {r.run_id for r in children}
    assert memory.get(parent).metrics["entity_runs"] == 12


def test_a_damaged_file_costs_no_record(result: Result, tmp_path: Path) -> None:
    shutil.copytree(result.path, tmp_path / "result")
    with open(tmp_path / "result" / "draws.parquet", "ab") as file:
        file.write(b"damage")
    tracker = MemoryTracker()
    tracked = track(open_result(tmp_path / "result"), tracker=tracker)
    assert (tracked.children, tracked.troubled) == (12, 12)
    child = tracker.find(parent=tracked.run_id)[0]
    assert "figure.png: ResultError" in child.tags["files_problem"]
    assert "intervals.csv" in tracker.artifacts(child.run_id)
    assert "12 entity runs lack files" in tracker.get(tracked.run_id).tags[NOTE]


def test_settings_say_how_much_is_kept(result: Result, tmp_path: Path) -> None:
    few = resettled(result, tmp_path, {"entity_runs": 3, "traces": "none", "experiment": "named"})
    tracker = MemoryTracker()
    tracked = track(few, tracker=tracker)
    names = [r.tags["entity"] for r in tracker.find(parent=tracked.run_id)]
    assert len(names) == 3
    assert names[-1] == FAILED
    stored = {a for run in tracker.runs for a in tracker.artifacts(run)}
    assert not {"trace.nc", "tables/draws.parquet"} & stored
    assert "3 of 12 entities have a run" in tracker.get(tracked.run_id).tags[NOTE]
    none = resettled(result, tmp_path, {"entity_runs": "none"})
    assert track(none, tracker=MemoryTracker()).children == 0


def resettled(result: Result, folder: Path, tracking: dict[str, object]) -> Result:
    """The result with other tracking settings; the cached property is where an opened result keeps them."""
    copy = open_result(result.path)
    copy.__dict__["settings"] = {**result.settings, "tracking": tracking}
    return copy


def test_workers_make_the_same_files(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_WORTH_A_POOL", 2)
    monkeypatch.setattr(rendering, "_CHUNK", 2)
    names = list(entity_names())[:4]
    with rendering.rendering(result, names, tmp_path / "pool", traces=False, workers=2) as files:
        pooled = list(files)
    with rendering.rendering(result, names, tmp_path / "here", traces=False, workers=1) as files:
        alone = list(files)
    assert [f.entity for f in pooled] == [f.entity for f in alone] == names
    for a, b in zip(pooled, alone, strict=True):
        assert a.problems == b.problems == ()
        assert [p.name for p in sorted(a.folder.iterdir())] == [p.name for p in sorted(b.folder.iterdir())]
        assert (a.folder / "intervals.csv").read_bytes() == (b.folder / "intervals.csv").read_bytes()


def test_a_worker_that_dies_costs_files_only(tmp_path: Path) -> None:
    dead: Future[list[rendering.Files]] = Future()
    dead.set_exception(BrokenProcessPool("killed"))
    job = rendering._Job(((0, "a"), (1, "b")), tmp_path, True)
    found = list(rendering._gathered(rendering.deque([(job, dead)])))
    assert [f.entity for f in found] == ["a", "b"]
    assert all("died" in f.problems[0] and not f.folder.exists() for f in found)


def test_a_run_that_the_caller_opened_is_the_callers_to_end(result: Result, tmp_path: Path) -> None:
    tracker = MemoryTracker()
    few = resettled(result, tmp_path, {"entity_runs": 1})
    with started("train", experiment="x", tracker=tracker) as run:
        tracked = track(few, tracker=tracker, run_id=run.run_id)
        assert tracker.get(run.run_id).status == "RUNNING"
        run.finish("FAILED")
    assert tracked.run_id == run.run_id
    assert tracker.get(run.run_id).status == "FAILED"


def test_a_tracker_that_breaks_leaves_nothing_running(result: Result, tmp_path: Path) -> None:
    class Broken(MemoryTracker):
        def attach(self, run_id: str, path: Path, folder: str = "") -> None:
            if self.get(run_id).parent:
                raise PosterityError("the disk is full")

    tracker = Broken()
    with pytest.raises(PosterityError, match="disk is full"):
        track(result, tracker=tracker)
    assert tracker.find(status="RUNNING") == ()
    assert {r.status for r in tracker.find()} == {"KILLED", "FAILED"}
