"""What made a result."""

import shutil
import subprocess

import pytest

from posterity.lineage import ENGINE_VERSION, versions
from posterity.lineage.versions import revision


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path):
    """A checkout with a package in `src`."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "src" / "posterity"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    git(tmp_path, "init")
    return folder


def test_versions_name_what_results_depend_on():
    found = versions()
    assert found["engine"] == ENGINE_VERSION
    for name in ("python", "numpy", "pymc", "nutpie", "pyarrow", "posterity"):
        assert found[name]
    assert "git_revision" in found
    found.clear()
    assert versions()  # the caller's copy is its own


def test_the_revision_is_the_commit_and_says_when_files_differ(package, tmp_path):
    assert revision(package) is None  # no commit yet
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert revision(package) == head
    (tmp_path / "notes.txt").write_text("untracked")
    assert revision(package) == head
    (package / "__init__.py").write_text("x = 1\n")
    assert revision(package) == f"{head}+dirty"


def test_a_package_inside_the_checkout_of_something_else_has_no_revision(package, tmp_path):
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    installed = tmp_path / ".venv" / "posterity"
    installed.mkdir(parents=True)
    assert revision(installed) is None


def test_no_git_and_no_checkout_are_no_failure(tmp_path, monkeypatch):
    assert revision(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision(tmp_path) is None
