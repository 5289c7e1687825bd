"""What every test shares: an environment that touches nothing of the user's, and the folder of real data.

Every test process imports this file, so it loads nothing heavy: PyMC, MLflow and Prefect come where needed.
"""

import os
import tempfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

_scratch = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Point everything that could write or call out at a scratch folder, before any test module is imported.

    A developer's PREFECT_API_URL or MLFLOW_TRACKING_URI may be a production server, so those are not kept.
    Every process makes its own folder: workers of pytest-xdist would otherwise share their parent's.
    """
    scratch = tempfile.TemporaryDirectory(prefix="posterity-tests-", ignore_cleanup_errors=True)
    config.stash[_scratch] = scratch
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
        del os.environ[name]
    os.environ |= {
        "DO_NOT_TRACK": "1",
        "MPLBACKEND": "Agg",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{scratch.name}/mlflow.db",
        "PREFECT_HOME": f"{scratch.name}/prefect",
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": f"{scratch.name}/prefect/storage",
        "PREFECT_SERVER_MEMO_STORE_PATH": f"{scratch.name}/prefect/memo_store.toml",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    }


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_scratch].cleanup()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder that holds pyproject.toml."""
    return CHECKOUT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data sets: $POSTERITY_DATA, else `shared/data` beside the checkout or one of its parents.

    Without it the test is skipped. A POSTERITY_DATA that is no such folder is a mistake: the test fails.
    """
    named = os.environ.get("POSTERITY_DATA")
    if named:
        folder = Path(named).expanduser().resolve()
        if not _holds_real_data(folder):
            pytest.fail(
                f"POSTERITY_DATA={named} holds no adoption_countries; name the data sets' folder, or unset it"
            )
        return folder
    for parent in CHECKOUT.parents:
        folder = parent / "shared" / "data"
        if _holds_real_data(folder):
            return folder
    pytest.skip("the real data are not here (CONTRIBUTING.md, Real data): set POSTERITY_DATA to their folder")


def _holds_real_data(folder: Path) -> bool:
    """One known data set is proof: a `shared/data` somewhere above the checkout may be anybody's."""
    return (folder / "adoption_countries").is_dir()
