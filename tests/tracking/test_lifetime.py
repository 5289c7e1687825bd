"""No run stays RUNNING: not after an error, a signal, a kill -9 or a reboot."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from posterity.tracking import MemoryTracker, NewRun, Terminated, Tracker, close_abandoned, connect, started
from posterity.tracking.owner import HEARTBEAT, OWNER, PATIENCE, Owner, alive

CHILD = """
import sys, time
from posterity.tracking import started
from posterity.tracking.tracker import NewRun
with started("train", uri=sys.argv[1], experiment="adoption") as run:
    run.tracker.open(NewRun("entity", {"fit_key": "k"}, run.run_id))
    print(run.run_id, flush=True)
    time.sleep(60)
"""
PREPARE = "import sys; from posterity.tracking import prepare; print(prepare(sys.argv[1], 'adoption'))"


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")],
)
def test_the_way_out_decides_the_state(
    tracker: Tracker, error: type[BaseException] | None, status: str
) -> None:
    expected = pytest.raises(error) if error else nullcontext()
    with expected, started("train", experiment="adoption", tracker=tracker) as run:
        assert tracker.get(run.run_id).status == "RUNNING"
        assert HEARTBEAT in tracker.get(run.run_id).tags
        if error:
            raise error
    assert tracker.get(run.run_id).status == status


def test_the_first_end_counts(tracker: Tracker) -> None:
    with started("train", experiment="adoption", tracker=tracker) as run:
        run.finish("FAILED")
    assert tracker.get(run.run_id).status == "FAILED"


def test_a_thread_leaves_the_signal_alone() -> None:
    found = []

    def work() -> None:
        with started("train", experiment="x", tracker=MemoryTracker()):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_a_handler_that_is_there_stays() -> None:
    def mine(number: int, frame: object) -> None:
        pass

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with started("train", experiment="x", tracker=MemoryTracker()):
            assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_the_run_and_the_process(tracker: Tracker) -> None:
    def work() -> None:
        with started("train", experiment="adoption", tracker=tracker):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)

    with pytest.raises(Terminated) as ended:
        work()
    assert ended.value.code == 143
    (run,) = tracker.find()
    assert run.status == "KILLED"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_kill_leaves_a_run_that_the_next_start_ends(tmp_path: Path, database: Callable[[Path], str]) -> None:
    uri = database(tmp_path)
    tracker = connect(uri, "adoption")
    tracker.prepare()
    with subprocess.Popen([sys.executable, "-c", CHILD, uri], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        killed = child.stdout.readline().strip()
        assert close_abandoned(uri, "adoption") == ()  # it lives
        child.kill()
        child.wait(30)
    assert tracker.get(killed).status == "RUNNING"
    foreign = tracker.open(NewRun("by hand"))
    assert close_abandoned(uri, "adoption") == (killed,)
    assert [r.run_id for r in tracker.find(status="RUNNING")] == [foreign]
    (orphan,) = tracker.find(parent=killed)
    assert orphan.status == "KILLED"


def test_two_processes_may_prepare_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", PREPARE, f"sqlite:///{tmp_path}/new/mlflow.db"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(2)]
    said = [child.communicate(timeout=240) for child in children]
    assert said == [("1\n", "")] * 2


def test_this_process_lives_and_a_reused_number_does_not() -> None:
    owner = Owner.here()
    assert owner.near()
    assert alive({OWNER: owner.to_tag()}, 0)
    assert not alive({OWNER: replace(owner, since=owner.since - 100).to_tag()}, 0)
    assert not alive({OWNER: replace(owner, pid=2**22 + 1).to_tag()}, 0)
    assert owner.pid == os.getpid()


@pytest.mark.parametrize("where", [{"host": "elsewhere"}, {"boot": "another"}, {"space": "pid:[1]"}])
def test_what_cannot_be_seen_must_send_heartbeats(where: dict[str, str]) -> None:
    owner = replace(Owner.here(), pid=2**22 + 1, **where).to_tag()
    now = time.time()
    assert alive({OWNER: owner, HEARTBEAT: f"{now - PATIENCE / 2:.0f}"}, 0)
    assert not alive({OWNER: owner, HEARTBEAT: f"{now - PATIENCE * 2:.0f}"}, 0)
    assert alive({OWNER: owner}, round(now * 1000))
    assert not alive({OWNER: owner, HEARTBEAT: "soon"}, 0)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": "x"}', "null"])
def test_a_run_without_a_readable_owner_is_left_alone(text: str) -> None:
    assert Owner.from_tag(text) is None
    assert alive({OWNER: text}, 0)


def test_heartbeats_are_sent_and_survive_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    from posterity.tracking import lifetime

    class Away(MemoryTracker):
        beats = 0

        def log(self, run_id: str, **values: object) -> None:
            self.beats += 1
            if self.beats < 3:
                raise ConnectionError("gone")
            super().log(run_id, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(lifetime, "_BEAT_SECONDS", 0.01)
    tracker = Away()
    with started("train", experiment="x", tracker=tracker) as run:
        tracker.runs[run.run_id].tags[HEARTBEAT] = "never"  # type: ignore[index]
        patience = time.monotonic() + 10
        while tracker.get(run.run_id).tags[HEARTBEAT] == "never" and time.monotonic() < patience:
            time.sleep(0.01)
    assert float(tracker.get(run.run_id).tags[HEARTBEAT]) > 0
    assert tracker.beats >= 3
