"""What is committed names no machine, and modules stay small."""

import re
import statistics
import subprocess
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def committed(checkout: Path) -> list[Path]:
    """Files that git holds or would take up, so that a mistake is found before the commit."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := checkout / name).is_file()]


def machine_paths(checkout: Path) -> list[str]:
    """Folders that only this machine has; a lone `/` would be everywhere, and temporary files are."""
    everywhere = {"/", "/tmp", tempfile.gettempdir()}
    return [f"{folder}/" for folder in {str(checkout), str(checkout.parent), str(Path.home())} - everywhere]


def holding(paths: list[Path], folders: list[str]) -> list[Path]:
    pattern = b"|".join(rb"(?<![\w.)}>-])" + re.escape(folder.encode()) for folder in folders)
    return [path for path in paths if pattern and re.search(pattern, path.read_bytes())]


def test_no_file_holds_a_path_of_this_machine(checkout: Path, committed: list[Path]) -> None:
    assert holding(committed, machine_paths(checkout)) == []


def test_a_path_of_this_machine_would_be_found(checkout: Path, tmp_path: Path) -> None:
    clean, dirty = tmp_path / "clean", tmp_path / "dirty"
    clean.write_text("data/adoption.parquet src/posterity")
    dirty.write_text(f"source: {checkout / 'panel.parquet'}")
    assert holding([clean, dirty], machine_paths(checkout)) == [dirty]


def test_modules_stay_small(checkout: Path) -> None:
    modules = [*(checkout / "src").rglob("*.py"), *(checkout / "flows").rglob("*.py")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    long = {str(path.relative_to(checkout)): count for path, count in lines.items() if count > 400}
    assert statistics.median(lines.values()) < 150
    assert len(long) <= 0.03 * len(lines), long
