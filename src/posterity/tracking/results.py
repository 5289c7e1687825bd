"""From what a person names to a result: a folder, an MLflow run, or a version of the registered portfolio."""

import re
import shutil
import tempfile
from pathlib import Path

from posterity.errors import ResultError, TrackingError
from posterity.portfolio import manifest as manifests
from posterity.portfolio.manifest import MANIFEST, RUNS, Manifest, published, read_manifest
from posterity.portfolio.result import Result, open_result
from posterity.tracking.connect import connect
from posterity.tracking.tracker import Tracker

RUN, MODEL = "runs:/", "models:/"
LATEST = "latest"
_NAME = re.compile(r"\w[\w .-]{0,99}")
_STORED = ("", "tables/", "model/artifacts/result/")
"""Where a run may hold a file of its result."""


def find(reference: str, *, uri: str | None = None, name: str | None = None, runs: Path = RUNS) -> Result:
    """Open the result that a reference names.

    References are a folder; `runs:/ID`, the result that an MLflow run has recorded; `models:/NAME@ALIAS` and
    `models:/NAME/NUMBER`, a version of a registered portfolio; `latest`, the newest result of the portfolio
    `name` under `runs`. What MLflow holds is taken from the folder it was made in while that is there, else
    it is fetched into `runs/NAME/KEY`. `uri` is MLflow's address, as in `connect`.

    Raises ResultError and TrackingError.
    """
    if reference == LATEST and name is not None:
        from posterity.portfolio.past import latest

        return latest(name, runs)
    if reference.startswith(RUN):
        return of_run(connected(uri), reference.removeprefix(RUN).strip("/"), runs)
    if reference.startswith(MODEL):
        return of_model(connected(uri), reference, runs)
    return open_result(reference)


def connected(uri: str | None) -> Tracker:
    """A tracker of a place that is there already: looking for a run makes no database."""
    tracker = connect(uri, "Default")
    database = getattr(getattr(tracker, "address", None), "database", None)
    if database is not None and not Path(database).exists():
        raise TrackingError(
            f"{tracker.uri}: there is no such database, so no run and no model; name the right one in "
            "MLFLOW_TRACKING_URI or tracking.uri, or give the folder of a result"
        )
    return tracker


def of_model(tracker: Tracker, reference: str, runs: Path = RUNS) -> Result:
    """The result of a registered version, by alias or number."""
    from posterity.tracking.registry import aliased, at, registry_of

    said = reference.removeprefix(MODEL)
    name, sign, alias = said.rpartition("@")
    number = ""
    if not sign:
        name, _, number = said.rpartition("/")
    if not name or not (alias if sign else number.isdecimal()):
        raise ResultError(
            f"{reference!r} names no version of a portfolio; write models:/NAME@ALIAS such as "
            "models:/adoption@champion, or models:/NAME/NUMBER"
        )
    registry = registry_of(tracker)
    version = aliased(registry, name, alias) if sign else at(registry, name, int(number))
    if version is None:
        raise TrackingError(
            f"{registry.uri}: no version of {name!r} has the alias {alias!r}; register one with the train "
            "flow, or name a folder"
        )
    return of_run(tracker, version.run_id, runs)


def of_run(tracker: Tracker, run_id: str, runs: Path = RUNS) -> Result:
    """The result that a run has recorded: its folder while that is there and the same, else fetched."""
    tags = tracker.get(run_id).tags
    key = tags.get("run_key")
    if key is None:
        raise TrackingError(
            f"run {run_id} in {tracker.uri} has recorded no result; give the run of a portfolio, "
            "not that of an entity"
        )
    here = Path(tags.get("result") or ".")
    if tags.get("result") and published(here) and read_manifest(here).run_key == key:
        return open_result(here)
    return fetched(tracker, run_id, runs)


def fetched(tracker: Tracker, run_id: str, runs: Path = RUNS) -> Result:
    """The files of a run's result, brought into `runs/NAME/KEY` and compared with the manifest there.

    A copy appears whole or not at all. Raises TrackingError where the run does not hold all of them.
    """
    stored = frozenset(tracker.artifacts(run_id))
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=runs) as scratch:
        folder, loose = Path(scratch) / "result", Path(scratch) / "loose"
        folder.mkdir()
        _bring(tracker, run_id, MANIFEST, stored, folder, loose)
        manifest = read_manifest(folder)
        target = _target(manifest, runs)
        if published(target):
            found = open_result(target)
            if found.manifest.run_key == manifest.run_key:
                return found
            raise ResultError(f"{target}: holds another result than run {run_id}; move it away and try again")
        for name in manifest.files:
            _bring(tracker, run_id, name, stored, folder, loose)
        manifests.verify(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
    return open_result(target)


def _bring(
    tracker: Tracker, run_id: str, name: str, stored: frozenset[str], folder: Path, loose: Path
) -> None:
    path = next((place + name for place in _STORED if place + name in stored), None)
    if path is None:
        why = (
            "draws are stored with tracking.traces: all only; track it so, or register it"
            if name == "draws.parquet"
            else "was it tracked by an older version? Give the folder of the result instead"
        )
        raise TrackingError(f"run {run_id} in {tracker.uri} holds no {name}; {why}")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(tracker.fetch(run_id, path, loose), target)


def _target(manifest: Manifest, runs: Path) -> Path:
    # The manifest comes from elsewhere, and these two become names of folders.
    if not _NAME.fullmatch(manifest.name) or not re.fullmatch(r"[0-9A-Za-z]{12,}", manifest.run_key):
        raise ResultError(
            f"name {manifest.name[:60]!r} or run key {manifest.run_key[:60]!r} of the fetched result can be "
            "no folder; it was not made by Posterity"
        )
    return runs / manifest.name / manifest.run_key[:12]
