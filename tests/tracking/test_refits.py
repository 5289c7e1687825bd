"""Versions in the tracker: what the run of a refit says, and a result rebuilt from what a run holds."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from posterity.errors import ResultError, TrackingError
from posterity.inference import compiled
from posterity.tracking import MemoryTracker, NewRun, Tracker, results, track
from posterity.tracking.refits import PARENT_RUN
from posterity.tracking.results import fetched, find, of_run
from posterity.tracking.tracker import NOTE
from tests.portfolio.refitted import Chain, fit_chain


@pytest.fixture(scope="module", autouse=True)
def interpreted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return fit_chain(tmp_path_factory.mktemp("chain") / "small")


@pytest.fixture(scope="module")
def kept(chain: Chain) -> tuple[MemoryTracker, list[str]]:
    """All versions in memory, in order, and their runs."""
    tracker = MemoryTracker("small")
    versions = [chain.last.as_of(n) for n in (1, 2, 3, 4)]
    return tracker, [track(version, tracker=tracker).run_id for version in versions]


def test_runs_of_versions_lead_to_one_another(chain: Chain, kept: tuple[MemoryTracker, list[str]]) -> None:
    tracker, ids = kept
    runs = [tracker.get(run_id) for run_id in ids]
    assert [r.tags["version"] for r in runs] == ["1", "2", "3", "4"]
    assert PARENT_RUN not in runs[0].tags
    assert [r.tags[PARENT_RUN] for r in runs[1:]] == ids[:3]
    assert runs[1].tags["parent_run_key"] == chain.first.manifest.run_key
    assert "**Version 2**, from [version 1](" in runs[1].tags[NOTE]
    assert ids[0] in runs[1].tags[NOTE]
    assert "Version" not in runs[0].tags[NOTE]


def test_metrics_of_a_refit(kept: tuple[MemoryTracker, list[str]]) -> None:
    tracker, ids = kept
    first, second, third, last = (tracker.get(run_id).metrics for run_id in ids)
    assert (first["version"], "updated" in first) == (1, False)
    assert (second["rows.new"], second["rows.repeated"], second["updated.exact"]) == (16, 48, 4)
    assert (second["drift.audits"], "drift.max_shift" in second) == (0, False)
    assert (third["updated"], last["updated"]) == (3, 3)
    assert last["drift.audits"] >= 1
    assert last["drift.max_ratio"] >= 1


def test_runs_of_entities_say_how_they_were_updated(
    chain: Chain, kept: tuple[MemoryTracker, list[str]]
) -> None:
    tracker, ids = kept
    children = {r.tags["entity"]: r for r in tracker.find(parent=ids[-1])}
    audited, south = children["P02 / south"], children["P01 / south"]
    row = chain.last.entity_row("P02 / south")
    assert (audited.tags["version"], audited.tags["update"]) == ("4", row["update"])
    assert audited.tags["parent_fit_key"] == row["parent_fit_key"]
    assert {"shift", "ratio"} <= audited.metrics.keys()
    assert (south.tags["version"], south.tags["update"], south.metrics["new_rows"]) == ("2", "exact", 4)


def test_a_result_is_rebuilt_from_its_run(chain: Chain, tracker: Tracker, tmp_path: Path) -> None:
    tracked = track(chain.second, tracker=tracker)
    copy = fetched(tracker, tracked.run_id, tmp_path / "elsewhere")
    assert copy.path == tmp_path / "elsewhere" / "small" / chain.second.manifest.run_key[:12]
    copy.verify()
    assert copy.manifest == chain.second.manifest
    assert fetched(tracker, tracked.run_id, tmp_path / "elsewhere").path == copy.path
    assert [p.name for p in (tmp_path / "elsewhere").iterdir()] == ["small"]
    # While the folder it was made in is there, nothing is fetched.
    assert of_run(tracker, tracked.run_id, tmp_path / "nothing").path == chain.second.path
    assert not (tmp_path / "nothing").exists()


def test_a_run_without_all_files_is_refused(
    chain: Chain, kept: tuple[MemoryTracker, list[str]], tmp_path: Path
) -> None:
    tracker, ids = kept
    files = tracker.files[ids[0]]
    for name, fragment in (("tables/draws.parquet", "tracking.traces: all"), ("manifest.json", "manifest")):
        tracker.files[ids[0]] = {k: v for k, v in files.items() if k != name}
        with pytest.raises(TrackingError, match=fragment):
            fetched(tracker, ids[0], tmp_path)
    tracker.files[ids[0]] = files | {"tables/draws.parquet": b"damaged"}
    with pytest.raises(ResultError, match="damaged"):
        fetched(tracker, ids[0], tmp_path)
    tracker.files[ids[0]] = files | {
        "manifest.json": files["manifest.json"].replace(b'"small"', b'"../small"')
    }
    with pytest.raises(ResultError, match="can be no folder"):
        fetched(tracker, ids[0], tmp_path)
    tracker.files[ids[0]] = files
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_something_else_is_refused(tracker: Tracker) -> None:
    with pytest.raises(TrackingError, match="recorded no result"):
        of_run(tracker, tracker.open(NewRun("entity")))


def test_references(
    chain: Chain,
    kept: tuple[MemoryTracker, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracker, ids = kept
    monkeypatch.setattr(results, "connected", lambda uri: tracker)
    assert find(str(chain.second.path)).version == 2
    assert find(f"runs:/{ids[1]}").path == chain.second.path
    assert find("latest", name="small", runs=chain.first.path.parents[1]).version == 4
    for wrong in ("models:/small", "models:/small@", "models:/@champion", "models:/small/x"):
        with pytest.raises(ResultError, match="NAME@ALIAS"):
            find(wrong)
    with pytest.raises(ResultError, match="no such folder"):
        find(str(tmp_path / "none"))


def test_a_damaged_copy_is_never_left_behind(chain: Chain, tmp_path: Path) -> None:
    tracker = MemoryTracker("small")
    there = tmp_path / "there"
    shutil.copytree(chain.first.path, there)
    from posterity.portfolio.result import open_result

    run_id = track(open_result(there), tracker=tracker).run_id
    shutil.rmtree(there)
    assert of_run(tracker, run_id, tmp_path / "runs").manifest == chain.first.manifest
