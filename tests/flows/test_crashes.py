"""Workers and flows that die. Real processes, really killed."""

import os
import signal
import subprocess

import psutil
import pyarrow.parquet as pq
import pytest

from tests.flows.conftest import Finished, Shop, wait_for

pytestmark = pytest.mark.slow
FITTED = {"ok", "flagged"}


def statuses(shop: Shop) -> dict[str, tuple[str, str | None]]:
    table = pq.read_table(shop.out / "entities.parquet", columns=["entity", "status", "reason"])
    return {row["entity"]: (row["status"], row["reason"]) for row in table.to_pylist()}


def pids(shop: Shop) -> set[int]:
    return {int(path.name.removeprefix("pid-")) for path in shop.folder.glob("pid-*")}


def fitted(done: Finished) -> int:
    """Entities with a posterior; gates are not what these tests are about."""
    return sum(done.json["counts"][status] for status in FITTED)


def arrived(shop: Shop, process: subprocess.Popen[str], before: set[int]) -> set[int]:
    """Workers that reached the entity that blocks, beside those of before."""
    assert process.poll() is None, process.communicate()
    return pids(shop) - before


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    if process.stdout is not None and not process.stdout.closed:
        process.communicate()


def test_entity_that_crashes_its_worker_fails_alone(shop: Shop) -> None:
    shop.write({f"s{i:02d}": 666 if i == 3 else None for i in range(12)})
    done = shop.train()
    assert done.code == 0, done.err
    assert fitted(done) == 11
    assert done.json["counts"]["failed"] == 1
    status, reason = statuses(shop).pop("s03")
    assert status == "failed"
    assert reason is not None
    assert "its worker process died" in reason
    assert "Traceback" not in done.err


def test_worker_killed_from_outside_fails_its_entity_only(shop: Shop) -> None:
    shop.write({f"s{i:02d}": 777 if i == 3 else None for i in range(6)})
    process = shop.start("--out", str(shop.out), "--workers", "1", "--json")
    killed: set[int] = set()
    try:
        for _ in range(2):
            (pid,) = wait_for(lambda: arrived(shop, process, killed), 120, "a worker")
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        _, err = process.communicate(timeout=200)
    finally:
        end(process)
    assert process.returncode == 0, err
    found = statuses(shop)
    assert found.pop("s03")[0] == "failed"
    assert {status for status, _ in found.values()} <= FITTED


def test_innocent_entity_survives_the_death_of_its_worker(shop: Shop) -> None:
    shop.write({f"s{i:02d}": 777 if i == 3 else None for i in range(6)})
    process = shop.start("--out", str(shop.out), "--workers", "1", "--json")
    try:
        (pid,) = wait_for(lambda: arrived(shop, process, set()), 120, "a worker")
        (shop.folder / "peace").touch()
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=200)
    finally:
        end(process)
    assert process.returncode == 0, err
    assert {status for status, _ in statuses(shop).values()} <= FITTED


def test_killed_flow_leaves_nothing_and_goes_on_where_it_was(shop: Shop) -> None:
    del shop.env["PREFECT_API_URL"]  # with a temporary server, which must not outlive the flow either
    shop.write({f"s{i:02d}": 777 if i == 19 else None for i in range(20)})
    process = shop.start("--out", str(shop.out), "--workers", "1")
    try:
        wait_for(lambda: arrived(shop, process, set()), 120, "a worker")
        tree = psutil.Process(process.pid).children(recursive=True)
        assert len(tree) >= 3  # server, its guard, worker
    finally:
        end(process)
    _, alive = psutil.wait_procs(tree, timeout=120)
    assert not alive
    assert not (shop.out / "manifest.json").exists()

    (shop.folder / "peace").touch()
    done = shop.train()
    assert done.code == 0, done.err
    assert fitted(done) == 20
    assert done.json["resumed"] >= 15
