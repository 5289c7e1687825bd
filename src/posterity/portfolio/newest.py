"""Finished results by age: the newest of a folder, and the one that the name of a portfolio means."""

from pathlib import Path

from posterity.errors import ResultError
from posterity.portfolio.manifest import MANIFEST, RUNS, published, read_manifest


def finished_in(folder: Path) -> list[Path]:
    """Finished results in a folder, newest first; of those of one second, the highest version."""
    return sorted((f for f in folder.glob("*") if published(f)), key=_age, reverse=True)


def _age(folder: Path) -> tuple[str, int, int, str]:
    manifest = read_manifest(folder)
    written = (folder / MANIFEST).stat().st_mtime_ns
    return manifest.created, int(manifest.extra.get("version", 1)), written, folder.name


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
