"""The life of a parent run: opened at the beginning, ended whatever happens, and swept up after a kill -9."""

import logging
import os
import signal
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from posterity.errors import PosterityError
from posterity.lineage import versions
from posterity.tracking.connect import connect
from posterity.tracking.owner import HEARTBEAT, OWNER, Owner, alive
from posterity.tracking.tracker import Ended, NewRun, Tracker

_log = logging.getLogger(__name__)
_BEAT_SECONDS = 60.0


class Terminated(SystemExit):
    """SIGTERM arrived while a run was open; unless caught, the process ends with the usual status 143."""


@dataclass
class OpenRun:
    """A parent run in state RUNNING. Leaving `started` ends it; `finish` does so earlier or otherwise."""

    tracker: Tracker
    experiment_id: str
    run_id: str
    ended: Ended | None = field(default=None, init=False)

    def finish(self, status: Ended = "FINISHED") -> None:
        """End the run. Only the first call counts."""
        if self.ended is None:
            self.tracker.close(self.run_id, status)
            self.ended = status


@contextmanager
def started(
    name: str,
    *,
    uri: str | None = None,
    experiment: str,
    tags: Mapping[str, str] | None = None,
    tracker: Tracker | None = None,
) -> Generator[OpenRun]:
    """Open a run and end it on the way out: FINISHED, FAILED on an error, KILLED on a signal or cancellation.

    Where nothing else handles SIGTERM, it raises `Terminated` in the main thread while the run is open. A
    heartbeat tag says once a minute that the process lives; `close_abandoned` ends the runs of processes that
    died without a word. Raises ConfigError and TrackingError.
    """
    keeper = tracker or connect(uri, experiment)
    experiment_id = keeper.prepare()
    owner = {OWNER: Owner.here().to_tag(), HEARTBEAT: f"{time.time():.0f}"}
    pid = os.getpid()
    with _sigterm_raises():
        run = OpenRun(
            keeper, experiment_id, keeper.open(NewRun(name, {**context(), **(tags or {}), **owner}))
        )
        try:
            with _beating(run):
                yield run
        except BaseException as error:
            # A forked child that dies in here must not end its parent's run.
            if os.getpid() == pid:
                _finish_quietly(run, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        run.finish()


def close_abandoned(
    uri: str | None = None, experiment: str = "", *, tracker: Tracker | None = None
) -> tuple[str, ...]:
    """Mark RUNNING runs whose process is gone, and their children, as KILLED; returns those parents' ids.

    Runs that Posterity did not open are left alone, as are those of living processes.
    """
    keeper = tracker or connect(uri, experiment)
    keeper.prepare()
    running = keeper.find(status="RUNNING")
    gone = {r.run_id for r in running if r.parent is None and not alive(dict(r.tags), r.started)}
    open_parents = {r.run_id for r in running if r.parent is None} - gone
    for run in running:
        orphan = run.parent is not None and run.parent not in open_parents and "fit_key" in run.tags
        if run.run_id in gone or orphan:
            keeper.close(run.run_id, "KILLED")
            _log.warning(
                "run %s (%s) was left open by a process that is gone: marked KILLED", run.run_id, run.name
            )
    return tuple(sorted(gone))


def context() -> dict[str, str]:
    """Tags that fill MLflow's columns: who, what, which commit."""
    found = {"mlflow.source.name": "posterity", "mlflow.source.type": "JOB"}
    user = os.environ.get("USER") or os.environ.get("LOGNAME")
    commit = versions()["git_revision"]
    found |= {"mlflow.user": user} if user else {}
    return found | ({"mlflow.source.git.commit": str(commit)} if commit else {})


def _finish_quietly(run: OpenRun, status: Ended) -> None:
    try:
        run.finish(status)
    except PosterityError as error:
        # The first error is the one to see; `close_abandoned` will find this run.
        _log.warning("run %s could not be ended: %s", run.run_id, error)


@contextmanager
def _beating(run: OpenRun) -> Generator[None]:
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(_BEAT_SECONDS):
            try:
                run.tracker.log(run.run_id, tags={HEARTBEAT: f"{time.time():.0f}"})
            except Exception as error:  # a server that is away for a while must not end the work
                _log.warning("no heartbeat for run %s: %s", run.run_id, error)

    thread = threading.Thread(target=beat, name="posterity-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


@contextmanager
def _sigterm_raises() -> Generator[None]:
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end is on its way; let the run be closed
        raise Terminated(128 + number)

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
