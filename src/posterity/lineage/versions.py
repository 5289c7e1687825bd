"""What made a result: engine, packages, Python and git revision."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

# Raised when the same inputs may give another posterior. It is in every fit key: raising it refits the world.
ENGINE_VERSION = 1

_PACKAGES = (
    "posterity",
    "arviz-base",
    "arviz-stats",
    "mlflow",
    "numba",
    "numpy",
    "nutpie",
    "pandas",
    "prefect",
    "pyarrow",
    "pydantic",
    "pymc",
    "pymc-extras",
    "pytensor",
    "scipy",
)


@cache
def _versions() -> tuple[tuple[str, str | int | bool | None], ...]:
    found: dict[str, str | int | bool | None] = {
        "engine": ENGINE_VERSION,
        "python": platform.python_version(),
    }
    found["platform"] = platform.platform(terse=True)
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except Exception:  # a missing or damaged installation must not cost a result its lineage
            found[package] = None
    found["git_revision"] = revision(Path(__file__).resolve().parents[1])
    return tuple(found.items())


def versions() -> dict[str, str | int | bool | None]:
    """Versions of the engine, Python and the packages that results depend on (None where absent), and
    `git_revision`.

    The revision is the commit of the checkout the package runs from, with `+dirty` where tracked files
    differ, None outside a checkout. Looked up once per process; never fails.
    """
    return dict(_versions())


def revision(package: Path) -> str | None:
    """Commit of the checkout whose `src` holds this package folder, else None.

    A package installed into an environment inside someone else's checkout has no revision of its own.
    """
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or not package.is_relative_to(Path(top).resolve() / "src"):
        return None
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(package, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+dirty" if changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()
