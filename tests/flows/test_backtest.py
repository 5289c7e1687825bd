"""The backtest flow as a user runs it: the script, against a real server."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.backtest import number
from tests.flows.conftest import CHECKOUT, PLAIN, Finished, Shop, ask


def backtest(shop: Shop, *arguments: str) -> Finished:
    command = [sys.executable, str(CHECKOUT / "flows" / "backtest.py"), str(shop.config), *arguments]
    done = subprocess.run(
        [*command, "--workers", "1", "--json"],
        cwd=shop.folder,
        env=shop.env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_scores_tracks_and_says_so_then_finds_it_again(shop: Shop, prefect_api: str) -> None:
    shop.write({"north": None, "south": None}, curve=PLAIN)
    first = backtest(shop, "--horizon", "2", "--origins", "2")
    assert first.code == 0, first.err
    told = first.json
    assert {"plan", "fit", "score", "baselines", "track", "artifacts", "total"} <= told["seconds"].keys()
    assert (Path(shop.folder) / told["result"] / "manifest.json").exists()
    assert "Traceback" not in first.err
    assert "small: 2 origins from 9 to 10" in first.out

    run = ask(f"{prefect_api}/flow_runs/{told['flow_run']}")
    assert run["state"]["type"] == "COMPLETED"
    assert "has the smallest CRPS of 8 rows" in run["state"]["message"]
    assert run["name"].startswith("backtest small 20")
    of_run = {"flow_runs": {"id": {"any_": [told["flow_run"]]}}}
    tasks = {t["name"]: t["state"]["type"] for t in ask(f"{prefect_api}/task_runs/filter", of_run)}
    assert {name.split()[0] for name in tasks} == {"plan", "fit", "score", "track"}
    assert set(tasks.values()) == {"COMPLETED"}
    pages = {a["key"]: a for a in ask(f"{prefect_api}/artifacts/filter", of_run)}
    assert pages.keys() == {"small-backtest", "small-side-by-side", "small-backtest-mlflow"}
    assert "naive" in pages["small-side-by-side"]["data"]
    assert told["tracked"]["run_id"] in pages["small-backtest-mlflow"]["data"]

    second = backtest(shop, "--horizon", "2", "--origins", "2")
    assert second.code == 0, second.err
    assert second.json["tracked"]["run_id"] == told["tracked"]["run_id"]
    assert second.json["result"] == told["result"]

    wrong = backtest(shop, "--horizon", "40")
    assert wrong.code == 2
    assert "no origin leaves 40 steps" in wrong.err
    assert "Traceback" not in wrong.err


def test_the_deployment_is_this_flow_with_its_parameters() -> None:
    from flows import backtest as module

    deployments = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    (found,) = [d for d in deployments if d["entrypoint"] == "flows/backtest.py:backtest"]
    assert module.backtest.name == "backtest"
    module.backtest.validate_parameters(found["parameters"])


def test_a_step_is_a_number_where_it_reads_like_one() -> None:
    assert [number(text) for text in (None, "7", "0.5", "1W")] == [None, 7.0, 0.5, "1W"]
