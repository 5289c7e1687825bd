"""Finished results by age: the newest of a folder, and the one that the name of a portfolio means.

A run whose inputs are those of an earlier one finds that one's result, which is then the newest again though
it was made long ago: a note beside the results, `last.json`, says which one the last run ended with.
"""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from posterity.errors import ResultError
from posterity.portfolio.manifest import MANIFEST, RUNS, Manifest, published, read_manifest
from posterity.portfolio.store import atomic

LAST = "last.json"


def finished_in(folder: Path) -> list[Path]:
    """Finished results in a folder, newest first; of those of one second, that of the last run, then the
    highest version. What has no readable manifest is none.
    """
    name, at = _last(folder)
    manifests: dict[Path, Manifest] = {}
    for result in filter(published, folder.glob("*")):
        with suppress(ResultError):
            manifests[result] = read_manifest(result)

    def age(result: Path) -> tuple[str, bool, int, int, str]:
        manifest, last = manifests[result], result.name == name
        written = (result / MANIFEST).stat().st_mtime_ns
        created = max(manifest.created, at) if last else manifest.created
        return created, last, int(manifest.extra.get("version", 1)), written, result.name

    return sorted(manifests, key=age, reverse=True)


def located(place: str, base: Path = Path()) -> Path:
    """The folder of the result that a place means: a result's own folder, or the newest finished one in a
    folder of results, or in that of the portfolio of this name under `runs/`. Paths are relative to `base`.

    Raises ResultError where there is none.
    """
    if published(base / place):
        return base / place
    for folder in (base / place, base / RUNS / place):
        if found := finished_in(folder):
            return found[0]
    raise ResultError(
        f"{place}: no finished result there or in {RUNS / place}; fit that portfolio first (posterity fit "
        "CONFIG), or give the folder of a result"
    )


def beside(folder: Path, name: str) -> bool:
    """Whether a folder lies where the results of the portfolio of this name do."""
    return folder.resolve().parent == (RUNS / name).resolve()


def note_last(folder: Path) -> None:
    """Say that a run ended with the result in this folder."""
    said = {"folder": folder.name, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    with atomic(folder.parent / LAST) as file:
        file.write(json.dumps(said).encode())


def _last(folder: Path) -> tuple[str, str]:
    """Name of the result that the last run ended with, and when; empty where nobody said so."""
    try:
        said = json.loads((folder / LAST).read_bytes())
        return str(said["folder"]), str(said["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""
