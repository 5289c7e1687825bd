"""The three ways to run the flow besides the script: deployed to a worker, served, and started by hand."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.serve import deployment
from tests.flows.conftest import CHECKOUT, PLAIN, Shop, ask, stop, wait_for


def prefect(shop: Shop, *arguments: str) -> str:
    """A command of Prefect's, in the checkout as the documentation has it."""
    command = [sys.executable, "-m", "prefect", *arguments]
    env = {**shop.env, "PWD": str(CHECKOUT), "COLUMNS": "200"}
    done = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(shop: Shop, *command: str) -> Iterator[Path]:
    """A process that stays until the block ends, and its log."""
    log = shop.folder / "process.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=CHECKOUT, env=shop.env, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            yield log
        finally:
            stop(process)


def by_hand(shop: Shop, api: str) -> dict[str, Any]:
    """Start train/weekly with other parameters and wait for its end."""
    parameters = [f"config={shop.config}", f"out={shop.out}", "method=nuts", "workers=1"]
    prefect(shop, "deployment", "run", "train/weekly", *(x for p in parameters for x in ("-p", p)))
    of_flow = {"flow_runs": {"parent_task_run_id": {"is_null_": True}}, "sort": "EXPECTED_START_TIME_ASC"}

    def ended() -> dict[str, Any] | None:
        runs = ask(f"{api}/flow_runs/filter", of_flow)
        ours = [r for r in runs if r["parameters"].get("out") == str(shop.out)]
        done = [r for r in ours if r["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]
        return done[0] if done else None

    run: dict[str, Any] = wait_for(ended, 240, "the flow run")
    return run


def planned(api: str) -> dict[str, Any]:
    """The deployment as the server knows it."""
    found: dict[str, Any] = ask(f"{api}/deployments/name/train/weekly")
    return found


def test_file_names_a_flow_that_takes_its_parameters() -> None:
    from flows.train import train

    what = deployment()
    assert what["entrypoint"] == "flows/train.py:train"
    assert set(what["parameters"]) <= set(train.parameters.properties)
    assert (CHECKOUT / what["parameters"]["config"]).exists()
    assert str(CHECKOUT) not in (CHECKOUT / "prefect.yaml").read_text()


def test_form_has_few_described_fields() -> None:
    from flows.train import train

    fields = train.parameters.properties
    assert list(fields) == ["config", "data", "method", "entities", "workers", "out"]
    assert all(field.get("description") for field in fields.values())
    assert train.parameters.required == ["config"]


def test_serve_without_a_server_says_what_to_do() -> None:
    env = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    command = [sys.executable, str(CHECKOUT / "flows" / "serve.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 2
    assert "prefect server start" in done.stderr


@pytest.mark.slow
def test_deployed_to_a_worker(shop: Shop, prefect_api: str) -> None:
    shop.write({"north": None, "south": None}, curve=PLAIN)
    prefect(shop, "work-pool", "create", "posterity", "--type", "process")
    prefect(shop, "deploy", "--all", "--no-prompt")
    there = planned(prefect_api)
    wanted = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())["deployments"][0]["schedules"][0]
    (schedule,) = there["schedules"]
    assert (schedule["schedule"]["cron"], schedule["active"]) == (wanted["cron"], True)
    (step,) = there["pull_steps"]
    assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(CHECKOUT)
    with running(shop, "-m", "prefect", "worker", "start", "--pool", "posterity") as log:
        run = by_hand(shop, prefect_api)
        assert run["state_type"] == "COMPLETED", log.read_text()
    assert (shop.out / "manifest.json").exists()


@pytest.mark.slow
def test_served_from_one_process(shop: Shop, prefect_api: str) -> None:
    shop.write({"north": None, "south": None}, curve=PLAIN)
    with running(shop, "flows/serve.py") as log:
        wait_for(lambda: "train/weekly" in log.read_text(), 60, "serve")
        (schedule,) = planned(prefect_api)["schedules"]
        assert schedule["schedule"]["cron"] == deployment()["schedules"][0]["cron"]
        assert schedule["active"]
        run = by_hand(shop, prefect_api)
        assert run["state_type"] == "COMPLETED", log.read_text()
    assert (shop.out / "manifest.json").exists()
