"""The refit flow as a user runs it: the script, against a real server."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import posterity
from flows import refit_terminal
from flows.refit import found, refit
from flows.serve import deployments
from posterity.errors import PosterityError
from tests.flows.conftest import CHECKOUT, PLAIN, Finished, Shop, ask


def fitted(shop: Shop) -> Path:
    """A portfolio of two shops over eight weeks, in `runs/small/first`; the panel has twelve."""
    shop.write({"north": None, "south": None}, curve=PLAIN)
    text = shop.config.read_text() + "refit: {every: 4}\n"
    shop.config.write_text(text)
    panel = pq.read_table(shop.folder / "panel.parquet")
    pq.write_table(panel.filter(pc.less_equal(panel["week"], 8)), shop.folder / "early.parquet")
    command = [sys.executable, "-m", "posterity.cli", "fit", "small.yaml", "--data", "early.parquet"]
    command += ["--out", "runs/small/first", "--workers", "0"]
    subprocess.run(command, cwd=shop.folder, env=shop.env, check=True, capture_output=True, timeout=300)
    return shop.folder / "runs" / "small" / "first"


def refitted(shop: Shop, *arguments: str) -> Finished:
    command = [sys.executable, str(CHECKOUT / "flows" / "refit.py"), *arguments, "--workers", "1", "--json"]
    done = subprocess.run(command, cwd=shop.folder, env=shop.env, capture_output=True, text=True, timeout=300)
    return Finished(done.returncode, done.stdout, done.stderr)


def pages(api: str, told: dict[str, Any]) -> dict[str, Any]:
    of_run = {"flow_runs": {"id": {"any_": [told["flow_run"]]}}}
    return {a["key"]: a for a in ask(f"{api}/artifacts/filter", of_run)}


@pytest.mark.slow
def test_takes_in_what_came_and_then_finds_nothing_new(shop: Shop, prefect_api: str) -> None:
    first = fitted(shop)
    done = refitted(shop, "--config", "small.yaml")
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    told = done.json
    assert told["account"]["rows"] == {"new": 8, "repeated": 16}
    assert told["account"]["updates"] == {"exact": 2}
    result = posterity.open(shop.folder / told["result"])
    assert (result.version, result.as_of(1).path) == (2, first)
    run = ask(f"{prefect_api}/flow_runs/{told['flow_run']}")
    assert run["state"]["type"] == "COMPLETED"
    assert run["state"]["message"] == "version 1 → 2: 2 exact; 0 unchanged"
    assert run["name"].endswith(" on version 1")
    shown = pages(prefect_api, told)
    assert {"small-refit", "small-progress", "small-notices", "small-mlflow"} <= shown.keys()
    assert shown["small-progress"]["data"] == 100
    assert "8 new, 16 repeated" in shown["small-refit"]["description"]
    assert told["registered"] == 1

    again = refitted(shop, "--config", "small.yaml")
    assert again.code == 0, again.err
    assert again.json["account"]["updates"] == {}
    assert again.json["account"]["version"] == 2
    assert again.json["tracked"] == []
    assert "nothing new" in again.out


@pytest.mark.slow
def test_a_run_and_an_alias_are_fetched_where_the_folder_is_gone(shop: Shop) -> None:
    fitted(shop)
    told = refitted(shop, "--config", "small.yaml").json
    key = posterity.open(shop.folder / told["result"]).manifest.run_key
    reference = f"runs:/{told['tracked'][-1]['run_id']}"
    shutil.rmtree(shop.folder / "runs")
    more = pq.read_table(shop.folder / "panel.parquet").to_pydict()
    later = pa.table({**more, "week": [week + 12 for week in more["week"]]})
    pq.write_table(later.filter(pc.less_equal(later["week"], 16)), shop.folder / "later.parquet")
    for name in (reference, "models:/small@challenger"):
        done = refitted(shop, name, "--data", "later.parquet", "--mode", "carry")
        assert done.code == 0, done.err
        assert done.json["account"]["version"] == 3
    result = posterity.open(shop.folder / done.json["result"])
    assert result.as_of(2).manifest.run_key == key


BAD: dict[str, tuple[str, str | None, str]] = {
    "latest of what": ("latest", None, "name that by its `config`"),
    "nothing there": ("latest", "small.yaml", "no result of 'small' yet"),
    "no folder": ("nowhere", None, "there is no such folder"),
    "no database for runs": ("runs:/0", None, "no such database"),
    "no database for models": ("models:/small@champion", None, "no such database"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and its panel, and neither results nor a database."""
    shop = Shop(tmp_path, {})
    shop.write({"north": None}, curve=PLAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_and_nothing_is_written(folder: Path, case: str) -> None:
    before = sorted(p.name for p in folder.iterdir())
    result, config, fragment = BAD[case]
    with pytest.raises(PosterityError, match=re.escape(fragment)):
        found(result, config, None)
    assert sorted(p.name for p in folder.iterdir()) == before


def test_bad_input_ends_with_exit_code_two(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(refit_terminal, "TemporaryServer", object)
    app = refit_terminal.app
    monkeypatch.setattr(refit_terminal, "app", lambda: app(["--config", "small.yaml"]))
    assert refit_terminal.main() == 2
    assert "no result of 'small' yet" in capsys.readouterr().err


def test_form_has_few_described_fields() -> None:
    fields = refit.parameters.properties
    assert list(fields) == ["result", "data", "mode", "config", "workers", "out"]
    assert all(field.get("description") for field in fields.values())


def test_the_deployment_is_weekly_and_paused() -> None:
    (what,) = [d for d in deployments() if d["name"] == "refit"]
    assert what["entrypoint"] == "flows/refit.py:refit"
    assert set(what["parameters"]) <= set(refit.parameters.properties)
    assert [s["active"] for s in what["schedules"]] == [False]
