"""Runs kept by MLflow, through its client and in batches: never the fluent active run.

A whole process shares that one, and it lets MLFLOW_RUN_ID in the environment decide where values go.
"""

import fcntl
import hashlib
import json
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read once, when MLflow is imported
# A server's client would print two lines a run to the standard output, where `--json` has the word.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow import MlflowClient
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import (
    DatasetInput,
    InputTag,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from posterity.errors import TrackingError
from posterity.tracking import names
from posterity.tracking.address import Address
from posterity.tracking.memory import now
from posterity.tracking.tracker import PARENT, Dataset, Ended, NewRun, Run, Status

_METRICS, _TEXTS = 800, 100
# A request may hold a million bytes; JSON spells a character with up to twelve of them.
_CHARACTERS = 80_000
_PAGE = 1_000
_HEALTH_SECONDS = 15
# Else MLflow's pages guess from the runs whether the experiment is about language models.
_KIND = "mlflow.experimentKind"
_thread_lock = threading.Lock()


class MlflowTracker:
    """A tracker over an MLflow database or server. Pickled, it is its address and experiment."""

    def __init__(self, address: Address, experiment: str) -> None:
        self.address = address
        self._experiment = experiment

    @property
    def uri(self) -> str:
        """The address, without secrets."""
        return self.address.shown

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self._experiment

    def prepare(self) -> str:
        """See `Tracker`."""
        return self._experiment_id

    def open(self, run: NewRun) -> str:
        """See `Tracker`."""
        tags = {k: names.tag(v) for k, v in run.tags.items()} | ({PARENT: run.parent} if run.parent else {})
        started = now() if run.started is None else run.started
        with self.told("a run could not be opened"):
            made = self.client.create_run(self._experiment_id, started, tags, names.run_name(run.name))
        return str(made.info.run_id)

    def log(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """See `Tracker`."""
        at = now()
        numbers = [Metric(k, float(v), at, 0) for k, v in (metrics or {}).items()]
        texts: list[Param | RunTag] = [Param(k, names.param(v)) for k, v in (params or {}).items()]
        texts += [RunTag(k, names.tag(v)) for k, v in (tags or {}).items()]
        batches = list(_batches(texts))
        with self.told(f"run {run_id} did not take what was logged"):
            for start in range(0, max(len(numbers), len(batches) * _METRICS), _METRICS):
                batch = batches[start // _METRICS] if start // _METRICS < len(batches) else []
                self.client.log_batch(
                    run_id,
                    metrics=numbers[start : start + _METRICS],
                    params=[t for t in batch if isinstance(t, Param)],
                    tags=[t for t in batch if isinstance(t, RunTag)],
                )

    def log_curve(self, run_id: str, name: str, points: Sequence[tuple[int, float]]) -> None:
        """See `Tracker`."""
        at = now()
        values = [Metric(name, float(value), at, int(step)) for step, value in points]
        with self.told(f"run {run_id} did not take the curve of {name}"):
            for start in range(0, len(values), _METRICS):
                self.client.log_batch(run_id, metrics=values[start : start + _METRICS])

    def curve(self, run_id: str, name: str) -> tuple[tuple[int, float], ...]:
        """See `Tracker`."""
        with self.told(f"run {run_id} could not be read"):
            self.client.get_run(run_id)
            found = self.client.get_metric_history(run_id, name)
        return tuple(sorted((m.step, m.value) for m in found))

    def attach(self, run_id: str, path: Path, folder: str = "") -> None:
        """See `Tracker`."""
        store = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        with self.told(f"run {run_id} did not take {path.name}"):
            store(run_id, str(path), folder or None)

    def use(self, run_id: str, dataset: Dataset) -> None:
        """See `Tracker`."""
        columns = [{"name": n, "type": t, "required": True} for n, t in dataset.columns]
        kept = MlflowDataset(
            name=dataset.name,
            digest=dataset.digest,
            source_type="http" if dataset.source.startswith("http") else "local",
            source=json.dumps({"url" if dataset.source.startswith("http") else "uri": dataset.source}),
            schema=json.dumps({"mlflow_colspec": columns}),
            profile=json.dumps({"num_rows": dataset.rows, "num_elements": dataset.rows * len(columns)}),
        )
        context = InputTag("mlflow.data.context", dataset.context)
        with self.told(f"run {run_id} did not take its dataset"):
            self.client.log_inputs(run_id, [DatasetInput(kept, [context])])

    def close(self, run_id: str, status: Ended, ended: int | None = None) -> None:
        """See `Tracker`."""
        with self.told(f"run {run_id} could not be ended"):
            self.client.set_terminated(run_id, status, now() if ended is None else ended)

    def get(self, run_id: str) -> Run:
        """See `Tracker`."""
        with self.told(f"run {run_id} could not be read"):
            return _value(self.client.get_run(run_id))

    def find(self, *, parent: str | None = None, status: Status | None = None) -> tuple[Run, ...]:
        """See `Tracker`."""
        terms = [f"tags.`{PARENT}` = '{parent}'"] if parent is not None else []
        terms += [f"attributes.status = '{status}'"] if status is not None else []
        found: list[Run] = []
        token: str | None = None
        with self.told("runs could not be searched"):
            while True:
                page = self.client.search_runs(
                    [self._experiment_id], " and ".join(terms), ViewType.ACTIVE_ONLY, _PAGE, page_token=token
                )
                found += [_value(run) for run in page]
                if not (token := page.token):
                    return tuple(found)

    def drop(self, run_id: str) -> None:
        """See `Tracker`."""
        with self.told(f"run {run_id} could not be deleted"):
            self.client.delete_run(run_id)

    def artifacts(self, run_id: str) -> tuple[str, ...]:
        """See `Tracker`."""
        found: list[str] = []
        waiting = [""]
        with self.told(f"the artifacts of run {run_id} could not be listed"):
            while waiting:
                for entry in self.client.list_artifacts(run_id, waiting.pop() or None):
                    (waiting if entry.is_dir else found).append(entry.path)
        return tuple(sorted(found))

    def fetch(self, run_id: str, path: str, into: Path) -> Path:
        """See `Tracker`."""
        into.mkdir(parents=True, exist_ok=True)
        with self.told(f"run {run_id} did not give {path}"):
            return Path(self.client.download_artifacts(run_id, path, str(into)))

    def datasets(self, run_id: str) -> tuple[Dataset, ...]:
        """See `Tracker`."""
        with self.told(f"run {run_id} could not be read"):
            inputs = self.client.get_run(run_id).inputs
        return tuple(_dataset(i) for i in (inputs.dataset_inputs if inputs else ()))

    @cached_property
    def client(self) -> MlflowClient:
        """The client; for a database, its tables are made now where absent."""
        if self.address.full.startswith("http"):
            _reach(self.address)
        with self.told("cannot be used"), _preparing(self.address), _quiet():
            return MlflowClient(self.address.full, self.address.full)

    @cached_property
    def _experiment_id(self) -> str:
        with self.told(f"the experiment {self._experiment!r} could not be made"):
            found = self.client.get_experiment_by_name(self._experiment)
            if found is None:
                try:
                    root, kind = self.address.artifact_root, {_KIND: "custom_model_development"}
                    return str(self.client.create_experiment(self._experiment, root, kind))
                except MlflowException as error:
                    # Somebody else made it between the two calls.
                    found = self.client.get_experiment_by_name(self._experiment)
                    if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
                        raise
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"{self.uri}: the experiment {self._experiment!r} was deleted; bring it back with"
                f" `mlflow experiments restore --experiment-id {found.experiment_id}`, or name another in"
                " tracking.experiment"
            )
        return str(found.experiment_id)

    @contextmanager
    def told(self, what: str) -> Generator[None]:
        """Whatever MLflow or its database raises inside, as a TrackingError that begins with `what`."""
        try:
            yield
        except MlflowException as error:
            raise TrackingError(f"{self.uri}: {what}: {error.message}") from error
        except (SQLAlchemyError, OSError) as error:
            said = str(error).partition("\n")[0]
            raise TrackingError(
                f"{self.uri}: {what}: {said}; is the place there, and may you write to it?"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "_experiment": self._experiment}


def _batches(texts: list[Param | RunTag]) -> Iterator[list[Param | RunTag]]:
    """Params and tags in lists of at most a hundred and of a bounded size."""
    batch: list[Param | RunTag] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == _TEXTS or size + len(text.value) > _CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text.key) + len(text.value)
    if batch:
        yield batch


def _value(run: MlflowRun) -> Run:
    return Run(
        run_id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        started=run.info.start_time,
        ended=run.info.end_time,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )


def _dataset(found: DatasetInput) -> Dataset:
    kept, tags = found.dataset, {t.key: t.value for t in found.tags}
    columns = json.loads(kept.schema or "{}").get("mlflow_colspec", ())
    return Dataset(
        name=kept.name,
        digest=kept.digest,
        source=next(iter(json.loads(kept.source).values())),
        columns=tuple((c["name"], c["type"]) for c in columns),
        rows=json.loads(kept.profile or "{}").get("num_rows", 0),
        context=tags.get("mlflow.data.context", ""),
    )


def _reach(address: Address) -> None:
    """Fail at once where no server answers: MLflow itself would try again for minutes."""
    try:
        with urlopen(f"{address.full.rstrip('/')}/health", timeout=_HEALTH_SECONDS):
            pass
    except HTTPError as error:
        error.close()  # it answered; whether it lets us in is said by the first real request
    except (URLError, OSError, ValueError) as error:
        raise TrackingError(
            f"{address.shown}: no MLflow server answers ({error}); start it, mend tracking.uri, or leave"
            " that out for SQLite"
        ) from None


@contextmanager
def _preparing(address: Address) -> Generator[None]:
    """Alone in making the tables: MLflow has a lock for this, but looks at half-made tables outside of it."""
    with _thread_lock:
        if address.server:
            yield
            return
        database = address.database
        name = hashlib.sha256(address.full.encode()).hexdigest()[:16]
        lock = Path(tempfile.gettempdir(), f"posterity-{name}.lock")
        if database is not None:
            database.absolute().parent.mkdir(parents=True, exist_ok=True)
            lock = database.with_name(f".{database.name}.lock")
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@contextmanager
def _quiet() -> Generator[None]:
    """Without the log lines of making a database, and without SQLAlchemy's word to MLflow's authors."""
    loggers = [logging.getLogger(n) for n in ("mlflow.store.db.utils", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The ``noload`` loader strategy")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
