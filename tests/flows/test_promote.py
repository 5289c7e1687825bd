"""Champion and challenger as flows: the script, the forms, and what they leave in Prefect and MLflow."""

import json
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.serve import deployments, flow_of
from tests.flows.conftest import CHECKOUT, PLAIN, Finished, Shop, ask


def script(shop: Shop, *arguments: str) -> Finished:
    """`python flows/promote.py ...`, to its end."""
    command = [sys.executable, str(CHECKOUT / "flows" / "promote.py"), *arguments]
    done = subprocess.run(command, cwd=shop.folder, env=shop.env, capture_output=True, text=True, timeout=300)
    return Finished(done.returncode, done.stdout, done.stderr)


def later(shop: Shop) -> str:
    """Weeks 13 to 16 of two shops, which no fit has seen."""
    week = [13, 14, 15, 16]
    table = pa.table(
        {
            "shop": ["north"] * 4 + ["south"] * 4,
            "week": pa.array(week * 2, pa.int64()),
            "sales": [0.7 * w / 10 + d for d in (0.02, -0.03) for w in week],
        }
    )
    pq.write_table(table, shop.folder / "chunk.parquet")
    return str(shop.folder / "chunk.parquet")


def registry_of(shop: Shop) -> Any:
    from posterity.tracking.registry import connect_registry

    return connect_registry(shop.env["MLFLOW_TRACKING_URI"])


@pytest.mark.slow
def test_train_promote_wait_approve_roll_back(shop: Shop, prefect_api: str) -> None:
    shop.write({"north": None, "south": None}, curve=PLAIN)
    trained = shop.train()
    assert trained.json["version"] == 1, trained.err
    assert shop.train().json["version"] == 1, "an unchanged result was registered again"

    first = script(shop, "promote", str(shop.config), "--data", later(shop), "--json")
    assert first.code == 0, first.err
    assert (first.json["happened"], first.json["champion"]) == ("promoted", 1)

    shop.write({"north": 11, "south": None}, curve=PLAIN)  # another panel: another result
    shop.config.write_text(shop.config.read_text() + "promotion: {approval: true, max_flagged: 1.0}\n")
    command = [sys.executable, str(CHECKOUT / "flows" / "train.py"), str(shop.config), "--json"]
    command += ["--out", str(shop.folder / "second"), "--workers", "1"]
    done = subprocess.run(command, cwd=shop.folder, env=shop.env, capture_output=True, text=True, timeout=300)
    assert json.loads(done.stdout.splitlines()[-1])["version"] == 2, done.stderr

    rows = later(shop)
    waits = script(shop, "promote", str(shop.config), "--data", rows, "--json")
    assert waits.json["happened"] in ("waiting", "kept"), waits.err
    assert waits.json["champion"] == 1
    ours = ask(f"{prefect_api}/artifacts/filter", {"sort": "CREATED_DESC"})
    gates = next(a for a in ours if a["key"] == "small-gates")
    listed = {row["gate"] for row in json.loads(gates["data"])}
    assert {"flagged", "lost", "rows", "coverage", "crps"} == listed

    if waits.json["happened"] == "waiting":
        said = ["--reason", "read the table, looks right", "--reviewer", "Ada", "--json"]
        short = script(shop, "approve", str(shop.config), "2", "approve", "--reason", "ok", "--reviewer", "A")
        assert short.code == 2
        assert "reason" in short.err
        approved = script(shop, "approve", str(shop.config), "2", "approve", *said)
        assert (approved.json["happened"], approved.json["champion"]) == ("promoted", 2)
        back = script(
            shop,
            "rollback",
            str(shop.config),
            "--reason",
            "shop north complained",
            "--leaving",
            "2",
            "--json",
        )
        assert (back.json["happened"], back.json["champion"]) == ("rolled back", 1)
    assert registry_of(shop).pointed("small", "champion") == 1


@pytest.mark.slow
def test_nothing_to_promote_is_told_plainly(shop: Shop) -> None:
    shop.write({"north": None}, curve=PLAIN)
    done = script(shop, "promote", str(shop.config))
    assert done.code == 2
    assert "no challenger" in done.err
    assert "Traceback" not in done.err


def test_every_deployment_names_a_flow_that_takes_its_parameters() -> None:
    for what in deployments():
        flow = flow_of(what)
        assert flow.name, what["entrypoint"]
        assert set(what["parameters"]) <= set(flow.parameters.properties)
        assert what["concurrency_limit"]["limit"] >= 1


def test_approval_is_a_small_typed_form() -> None:
    (what,) = [w for w in deployments() if w["name"] == "approve"]
    form = flow_of(what).parameters
    assert list(form.properties) == ["config", "version", "decision", "reason", "reviewer"]
    assert form.properties["decision"]["enum"] == ["approve", "reject"]
    assert set(form.required) == set(form.properties)
    assert all(field.get("description") for field in form.properties.values())
    text = json.dumps({"properties": form.properties, "definitions": form.definitions})
    assert '"minLength": 10' in text
