"""Where runs go, and that no password is shown."""

from pathlib import Path

import pytest

from posterity.errors import ConfigError
from posterity.tracking import TrackingError, connect, prepare
from posterity.tracking.address import DEFAULT, redact, resolve


def test_given_then_environment_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert resolve("sqlite:///a.db").full == "sqlite:///a.db"
    assert resolve(None).full == "http://tracking:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve(None).full == DEFAULT


def test_artifacts_lie_beside_the_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(DEFAULT).artifact_root == (tmp_path / "runs" / "mlartifacts").as_uri()
    assert resolve(f"sqlite:///{tmp_path}/x/m.db").artifact_root == (tmp_path / "x" / "mlartifacts").as_uri()
    assert resolve("http://tracking:5000").artifact_root is None


@pytest.mark.parametrize(
    "uri", ["mlruns", "./mlruns", "file:///tmp/mlruns", "sqlite://", "sqlite:///:memory:", "ftp://x/y"]
)
def test_what_is_no_place_for_runs_is_said(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"tracking\.uri: .*sqlite:///runs/mlflow\.db"):
        connect(uri, "x")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@db:5432/mlflow", "postgresql://me:***@db:5432/mlflow"),
        ("s3://bucket/panel.parquet?X-Amz-Signature=abc&sig=1", "s3://bucket/panel.parquet?***"),
        ("https://host/data.csv?token=abc", "https://host/data.csv?***"),
        ("http://:pw@[::1", "http://***"),
        ("sqlite:///runs/mlflow.db", "sqlite:///runs/mlflow.db"),
        ("data/panel.parquet", "data/panel.parquet"),
        ("https://host/data.csv?version=2", "https://host/data.csv?version=2"),
    ],
)
def test_secrets_are_not_shown(address: str, shown: str) -> None:
    assert redact(address) == shown


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(TrackingError, match="no MLflow server answers"):
        prepare("http://127.0.0.1:9", "x")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match="may you write to it"):
        prepare(f"sqlite:///{tmp_path}/file/mlflow.db", "x")


def test_a_deleted_experiment_is_said(tmp_path: Path, database: object) -> None:
    from mlflow import MlflowClient

    uri = database(tmp_path)  # type: ignore[operator]
    MlflowClient(uri, uri).delete_experiment(prepare(uri, "adoption"))
    with pytest.raises(TrackingError, match="mlflow experiments restore --experiment-id"):
        prepare(uri, "adoption")
