"""Where runs are kept: the tracking address, what lies beside it, and how a person opens it."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from posterity.errors import ConfigError

DEFAULT = "sqlite:///runs/mlflow.db"
_ENVIRONMENT = "MLFLOW_TRACKING_URI"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https", "databricks", "databricks-uc", "uc")


@dataclass(frozen=True, slots=True)
class Address:
    """A checked tracking address, a database or a server. `full` may hold a password, `shown` does not."""

    full: str

    @property
    def shown(self) -> str:
        """The address with any password replaced by ***."""
        return redact(self.full)

    @property
    def database(self) -> Path | None:
        """The SQLite file, None for anything else."""
        if not self.full.startswith("sqlite:"):
            return None
        rest = self.full.partition("://")[2].partition("?")[0].removeprefix("/")
        return Path(rest)

    @property
    def server(self) -> bool:
        """Whether a server is asked, which then decides where artifacts go."""
        return urlsplit(self.full).scheme in _SERVERS

    @property
    def artifact_root(self) -> str | None:
        """Where artifacts go: `mlartifacts` beside a database. None: the server decides.

        Absolute, as every run stores it and the UI may be opened from another folder.
        """
        if self.server:
            return None
        folder = self.database.parent if self.database else Path("runs")
        return (folder / "mlartifacts").absolute().as_uri()

    @property
    def command(self) -> str:
        """The shell command that opens MLflow's pages (without its job runner, which takes 2 GB)."""
        if self.server:
            return f"python -m webbrowser {shlex.quote(self.shown)}"
        switch = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true"
        return f"{switch} mlflow server --backend-store-uri {shlex.quote(self.shown)}"


def resolve(uri: str | None) -> Address:
    """The address that was given, else $MLFLOW_TRACKING_URI, else SQLite in `runs/`.

    Raises ConfigError for an address that MLflow cannot keep runs in.
    """
    found = uri or os.environ.get(_ENVIRONMENT) or DEFAULT
    scheme = found.partition(":")[0].partition("+")[0] if "://" in found else found
    if found.startswith("sqlite://") and (
        ":memory:" in found or not found.removeprefix("sqlite://").strip("/")
    ):
        raise ConfigError([f"tracking.uri: {found} is lost when its process ends; give a file: {DEFAULT}"])
    if scheme in (*_DATABASES, *_SERVERS):
        return Address(found)
    problem = (
        f"tracking.uri: {redact(found)!r} is no place for runs (MLflow 3 refuses folders of files);"
        f" allowed are SQLite ({DEFAULT}), PostgreSQL (postgresql://…), MySQL, and a server (http://…)"
    )
    raise ConfigError([problem])


def fragment(experiment_id: str, run_id: str) -> str:
    """The part of the address of a run's page that follows the server's."""
    # Without the last word MLflow's pages open in their view for language models.
    return f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


def redact(address: str) -> str:
    """An address without its password and without keys in its query."""
    if "://" not in address:
        return address
    try:
        parts = urlsplit(address)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return f"{address.partition('://')[0]}://***"
    if parts.password is None and not _secret(parts):
        return address
    user = f"{parts.username}:***@" if parts.password is not None else ""
    netloc = f"{user}{host}" if user else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, query="***" if _secret(parts) else parts.query))


def _secret(parts: SplitResult) -> bool:
    return any(word in parts.query.lower() for word in ("password", "secret", "token", "key", "sig="))
