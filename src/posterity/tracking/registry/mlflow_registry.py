"""Versions kept by MLflow's registry, through its client."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from posterity.tracking import names
from posterity.tracking.mlflow_tracker import MlflowTracker
from posterity.tracking.registry.registry import Version
from posterity.tracking.serving import ARTIFACT, FOLDER

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class MlflowRegistry:
    """The registry beside a tracker, in the same database or at the same server."""

    def __init__(self, tracker: MlflowTracker) -> None:
        self.tracker = tracker

    @property
    def uri(self) -> str:
        """See `Registry`."""
        return self.tracker.uri

    def versions(self, name: str) -> tuple[Version, ...]:
        """See `Registry`."""
        found: list[Version] = []
        token: str | None = None
        quoted = name.replace("'", "\\'")
        with self.tracker.told(f"the versions of {name} could not be listed"):
            while True:
                page = self.tracker.client.search_model_versions(
                    f"name = '{quoted}'", max_results=1_000, page_token=token
                )
                found += [_value(version) for version in page]
                if not (token := page.token):
                    return tuple(sorted(found, key=lambda version: version.number))

    def create(self, name: str, run_id: str, model: Path, tags: Mapping[str, str]) -> Version:
        """See `Registry`."""
        client = self.tracker.client
        self.tracker.attach(run_id, model, FOLDER)
        with self.tracker.told(f"{name} could not be registered"):
            try:
                client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            source = f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}"
            return _value(client.create_model_version(name, source, run_id, tags=_cut(tags)))

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """See `Registry`."""
        with self.tracker.told(f"{version} did not take its tags"):
            for key, value in _cut(tags).items():
                self.tracker.client.set_model_version_tag(version.name, str(version.number), key, value)

    def pointed(self, name: str, alias: str) -> int | None:
        """See `Registry`."""
        with self.tracker.told(f"the alias {alias} of {name} could not be read"):
            try:
                return int(self.tracker.client.get_model_version_by_alias(name, alias).version)
            except MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
                return None

    def point(self, version: Version, alias: str) -> None:
        """See `Registry`."""
        with self.tracker.told(f"the alias {alias} could not be moved to {version}"):
            self.tracker.client.set_registered_model_alias(version.name, alias, str(version.number))

    def attach(self, version: Version, path: Path, folder: str) -> None:
        """See `Registry`."""
        self.tracker.attach(version.run_id, path, folder)

    def result(self, version: Version, into: Path) -> Path:
        """See `Registry`."""
        with self.tracker.told(f"the result of {version} could not be fetched"):
            source = self.tracker.client.get_model_version_download_uri(version.name, str(version.number))
            address = self.tracker.address.full
            into.mkdir(parents=True, exist_ok=True)
            found = download_artifacts(f"{source}/{ARTIFACT}", dst_path=str(into), tracking_uri=address)
        return Path(found)

    @contextmanager
    def alone(self, name: str) -> Generator[None]:
        """See `Registry`: a lock on a file beside the database, or in the machine's temporary folder."""
        database = self.tracker.address.database
        digest = hashlib.sha256(f"{self.tracker.address.full} {name}".encode()).hexdigest()[:16]
        lock = Path(tempfile.gettempdir(), f"posterity-{digest}.lock")
        if database is not None:
            lock = database.with_name(f".{database.name}.{digest}.lock")
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            with suppress(OSError):
                os.close(handle)


def _value(version: ModelVersion) -> Version:
    return Version(version.name, int(version.version), version.run_id or "", dict(version.tags or {}))


def _cut(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: names.tag(value) for key, value in tags.items()}
