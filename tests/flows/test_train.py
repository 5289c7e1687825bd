"""The train flow as a user runs it: the script, against a real server."""

import pyarrow.parquet as pq
import pytest

from tests.flows.conftest import PLAIN, Shop, ask


def test_fits_tracks_and_says_so_then_finds_everything_unchanged(shop: Shop, prefect_api: str) -> None:
    shop.write({"north": None, "south": None, "wést / 1": None}, curve=PLAIN)
    first = shop.train()
    assert first.code == 0, first.err
    told = first.json
    counts = told["counts"]
    assert (counts["ok"] + counts["flagged"], counts["failed"], counts["unchanged"]) == (3, 0, 0)
    assert told["methods"] == {"laplace": 3}
    assert {"start", "plan", "fit", "merge", "track", "artifacts", "total"} <= told["seconds"].keys()
    assert (shop.out / "manifest.json").exists()
    assert (shop.folder / "mlflow.db").exists()
    assert "Traceback" not in first.err
    assert "WARNING" not in first.err

    run = ask(f"{prefect_api}/flow_runs/{told['flow_run']}")
    assert run["state"]["type"] == "COMPLETED"
    assert run["state"]["message"].startswith(("3 ok", "2 ok", "1 ok", "3 flagged"))
    assert run["name"].startswith("small 20")
    assert run["name"].endswith(" 3 entities")
    of_run = {"flow_runs": {"id": {"any_": [told["flow_run"]]}}}
    tasks = {t["name"]: t["state"]["type"] for t in ask(f"{prefect_api}/task_runs/filter", of_run)}
    assert {name.split()[0] for name in tasks} == {
        "plan",
        "fit",
        "merge",
        "track",
        "register",
    }
    assert set(tasks.values()) == {"COMPLETED"}
    pages = {a["key"]: a for a in ask(f"{prefect_api}/artifacts/filter", of_run)}
    assert pages.keys() == {"small-progress", "small-result", "small-mlflow"}
    assert pages["small-progress"]["data"] == 100
    assert told["tracked"]["run_id"] in pages["small-mlflow"]["data"]

    second = shop.train()
    assert second.code == 0, second.err
    assert second.json["counts"] == {"ok": 0, "flagged": 0, "failed": 0, "unchanged": 3}
    assert second.json["tracked"]["run_id"] == told["tracked"]["run_id"]
    assert ask(f"{prefect_api}/flow_runs/{second.json['flow_run']}")["state"]["type"] == "COMPLETED"


def test_ends_failed_after_tracking_where_too_many_entities_failed(shop: Shop, prefect_api: str) -> None:
    shop.write({"poor": None}, curve=PLAIN)
    panel = shop.folder / "panel.parquet"
    table = pq.read_table(panel)
    sales = table["sales"].to_pylist()
    sales[-1] = float("nan")
    pq.write_table(table.set_column(2, "sales", [sales]), panel)
    done = shop.train()
    assert done.code == 1, done.err
    assert done.json["counts"]["failed"] == 1
    assert done.json["tracked"]["run_id"]
    state = ask(f"{prefect_api}/flow_runs/{done.json['flow_run']}")["state"]
    assert state["type"] == "FAILED"
    assert "too many entities failed" in state["message"]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("right", "wrong"), [("laplace", "laplce"), ("panel.parquet", "nothing.parquet")], ids=["config", "panel"]
)
def test_bad_input_is_told_plainly_and_nothing_is_written(shop: Shop, right: str, wrong: str) -> None:
    shop.write({"north": None}, curve=PLAIN)
    shop.config.write_text(shop.config.read_text().replace(right, wrong))
    done = shop.train()
    assert done.code == 2
    assert wrong in done.err
    assert "Traceback" not in done.err
    assert not shop.out.exists()
    assert not (shop.folder / "mlflow.db").exists()
