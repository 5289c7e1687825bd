"""A registered version as a server uses it: loaded by MLflow, asked for rows in any order."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from posterity.errors import PanelError
from posterity.inference import compiled
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.serving import Server, example
from posterity.tracking import NewRun, connect
from posterity.tracking.registry import promote, register, registry_of
from posterity.tracking.serving import ARTIFACT
from posterity.tracking.serving.save import requirements, save
from tests.entities import prior
from tests.models.test_likelihood import FAMILIES, TRIALS, TRUTH, X
from tests.portfolio.small import panel
from tests.portfolio.versions import QUICK, RULES

pytestmark = pytest.mark.filterwarnings(
    "ignore:Operation with range is deprecated",  # MLflow fills an index so, pandas 4 reads that otherwise
    "ignore:.*integer column.*:UserWarning",
)

TREND = {
    "parameters": {"a": prior("Normal", mu=0, sigma=3), "b": prior("Normal", mu=0, sigma=1)},
    "quantities": {"m": {"expression": "a + b * week"}},
    "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1)}},
}
DEPENDENT = TREND | {
    "likelihood": TREND["likelihood"] | {"errors": {"ar1": {"rho": prior("Beta", alpha=2, beta=2)}}}
}
BY_LEVEL = TREND | {
    "parameters": {
        "a": prior("Normal", mu=0, sigma=3) | {"dims": "season"},
        "b": prior("Normal", mu=0, sigma=1),
    },
    "quantities": {"m": {"expression": "a[season] + b * week"}},
}


COMPILED = compiled.NUMBA


@pytest.fixture(scope="module", autouse=True)
def interpreted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return Portfolio(QUICK).fit(panel(), out=tmp_path_factory.mktemp("small") / "result", workers=0)


@pytest.fixture(scope="module")
def saved(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(result, tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def model(saved: Path) -> Any:
    return mlflow.pyfunc.load_model(str(saved))


def asked(result: Result, n: int = 60, seed: int = 3) -> pd.DataFrame:
    """Rows of all entities in no order, some twice."""
    rng = np.random.default_rng(seed)
    entities = result.entities[list(result.config.data.entity)]
    chosen = entities.iloc[rng.integers(0, len(entities), n)].reset_index(drop=True)
    return chosen.assign(week=rng.integers(1, 40, n))


def expected(result: Result, rows: pd.DataFrame, interval: float = 0.9) -> pd.DataFrame:
    """The library's own predictions in the order of the request."""
    keys = [*result.config.data.entity, "week"]
    order = rows.reset_index(drop=True).sort_values(keys, kind="stable").index
    table = result.predict(rows, interval=interval)
    table.index = order
    return table.sort_index()


def test_served_numbers_are_those_of_the_library(model: Any, result: Result) -> None:
    rows = asked(result)
    found, wanted = model.predict(rows), expected(result, rows)
    assert list(found) == ["product", "region", "week", "status", "mean", "median", "lower", "upper"]
    pd.testing.assert_frame_equal(found[["product", "region", "week"]], rows, check_dtype=False)
    for name, theirs in {
        "mean": "mean",
        "median": "median",
        "lower": "lower_90",
        "upper": "upper_90",
    }.items():
        np.testing.assert_array_equal(found[name], wanted[theirs])


def test_the_interval_is_a_parameter(model: Any, result: Result) -> None:
    rows = asked(result)
    half, most = (model.predict(rows, params={"interval": p}) for p in (0.5, 0.99))
    assert ((half["upper"] - half["lower"]) < (most["upper"] - most["lower"])).all()
    np.testing.assert_array_equal(half["median"], most["median"])
    np.testing.assert_array_equal(half["lower"], expected(result, rows, 0.5)["lower_50"])


def test_an_unknown_entity_is_a_status(model: Any, result: Result) -> None:
    rows = asked(result)
    rows.loc[[0, 7], "product"] = "P99"
    found = model.predict(rows)
    assert found["status"].tolist()[:1] == ["unknown"]
    assert found.loc[[0, 7], ["mean", "median", "lower", "upper"]].isna().all(axis=None)
    assert found.drop(index=[0, 7])["mean"].notna().all()
    nobody = model.predict(rows.loc[[0, 7]])
    assert nobody["status"].tolist() == ["unknown", "unknown"]


def test_what_cannot_be_predicted_is_refused(model: Any, result: Result) -> None:
    rows = asked(result)
    with pytest.raises(MlflowException, match="week"):
        model.predict(rows.drop(columns="week"))
    with pytest.raises(Exception, match="between 0 and 1"):
        model.predict(rows, params={"interval": 1.5})
    with pytest.raises(PanelError, match="no rows"):
        Server(result).predict(rows.head(0))
    with pytest.raises(PanelError, match="'week'"):
        Server(result).predict(rows.drop(columns="week"))


def test_signature_example_and_requirements_are_there(model: Any, saved: Path) -> None:
    signature = model.metadata.signature
    assert signature.inputs.input_names() == ["product", "region", "week"]
    assert [str(t) for t in signature.inputs.input_types()] == [
        "DataType.string",
        "DataType.string",
        "DataType.long",
    ]
    (interval,) = signature.params.params
    assert (interval.name, interval.default) == ("interval", 0.9)
    assert signature.outputs.input_names()[-4:] == ["mean", "median", "lower", "upper"]
    sample = model.metadata.load_input_example(str(saved))
    assert len(model.predict(sample)) == 5
    lines = (saved / "requirements.txt").read_text().split()
    assert lines == requirements()
    assert all("==" in line and "/" not in line and not line.startswith("-") for line in lines)
    assert not [line for line in lines if line.startswith("prefect")]


def test_a_model_is_code_and_tables_without_a_pickle(saved: Path, result: Result) -> None:
    endings = {file.suffix for file in saved.rglob("*") if file.is_file()}
    assert endings <= {"", ".py", ".typed", ".json", ".yaml", ".txt", ".parquet"}
    open_result(saved / ARTIFACT).verify()
    assert (saved / ARTIFACT / "manifest.json").read_bytes() == (result.path / "manifest.json").read_bytes()


def test_nothing_is_compiled_by_numba(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytensor.link.numba.linker import NumbaLinker

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a served model compiled something")

    monkeypatch.setattr(NumbaLinker, "jit_compile", refused)
    assert Server(open_result(result.path)).predict(asked(result))["mean"].notna().all()


def test_a_server_answers_from_many_threads(result: Result) -> None:
    from concurrent.futures import ThreadPoolExecutor

    server, rows = Server(result), asked(result)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: server.predict(rows), range(8)))
    for answer in answers[1:]:
        pd.testing.assert_frame_equal(answer, answers[0])
    server.close()


def test_entities_without_a_posterior_say_so(tmp_path: Path) -> None:
    table = panel(1, 2).to_pandas()
    table.loc[table["region"] == table["region"].iloc[0], "adoption"] = np.nan
    fitted = Portfolio(QUICK).fit(table, out=tmp_path / "r", workers=0)
    found = Server(fitted).predict(table[["product", "region", "week"]])
    assert set(found["status"]) >= {"failed"}
    assert found.loc[found["status"] == "failed", "mean"].isna().all()
    assert found.loc[found["status"] != "failed", "mean"].notna().all()


def shops(weeks: Any, y: Callable[[int], Any], **columns: Any) -> pd.DataFrame:
    """Two shops with a target each."""
    return pd.concat(
        [pd.DataFrame({"shop": f"s{i}", "week": weeks, "y": y(i), **columns}) for i in range(2)],
        ignore_index=True,
    )


def fit(model: dict[str, Any], table: pd.DataFrame, out: Path) -> Result:
    config = QUICK | {"data": {"entity": "shop", "time": "week", "target": "y"}, "model": model}
    return Portfolio(config).fit(table, out=out, workers=0)


def same_as_library(result: Result, rows: pd.DataFrame) -> None:
    found, wanted = Server(result).predict(rows), result.predict(rows)
    np.testing.assert_array_equal(found["mean"], wanted["mean"])
    np.testing.assert_array_equal(found["upper"], wanted["upper_90"])
    assert np.isfinite(found["mean"]).all()


@pytest.mark.parametrize("kind", ["dependent", "levels", "dates"])
def test_errors_levels_and_dates_are_served_alike(kind: str, tmp_path: Path) -> None:
    rng, weeks = np.random.default_rng(1), np.arange(16)
    season = np.where(weeks % 2 == 0, "even", "odd")
    table = shops(weeks, lambda i: i + 0.1 * weeks + rng.normal(0, 0.3, 16), season=season)
    ahead = shops(weeks + 16, lambda i: np.nan, season=season).drop(columns="y")
    if kind == "dates":
        for frame in (table, ahead):
            frame["week"] = pd.Timestamp("2026-01-05") + pd.to_timedelta(7 * frame["week"], unit="D")
    model = {"dependent": DEPENDENT, "levels": BY_LEVEL, "dates": TREND}[kind]
    if kind == "dates":
        model = model | {"quantities": {"m": {"expression": "a + b * 0"}}}
    result = fit(model, table, tmp_path / "r")
    same_as_library(result, ahead)
    loaded = mlflow.pyfunc.load_model(str(save(result, tmp_path)))
    sample = example(result, 2)
    assert loaded.predict(sample)["mean"].notna().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_likelihood_is_served_like_the_library(name: str, tmp_path: Path) -> None:
    family, rng = FAMILIES[name], np.random.default_rng(5)
    config = family.model.description.model.model_dump(mode="json", exclude_unset=True)
    table = shops(
        np.arange(40), lambda i: family.distribution(**TRUTH).rvs(40, random_state=rng), x=X, n=TRIALS
    )
    result = fit(config, table, tmp_path / "r")
    same_as_library(result, table.drop(columns="y"))


@pytest.mark.slow
def test_ten_thousand_rows_in_a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "NUMBA", COMPILED)  # 300 fits take minutes without
    fitted = Portfolio(QUICK | {"inference": {"method": "laplace"}}).fit(
        panel(100, 3), out=tmp_path / "result", workers=0
    )
    path = save(fitted, tmp_path)
    asked(fitted, 10_000).to_parquet(tmp_path / "rows.parquet")
    code = f"""
import sys, time, pandas as pd, mlflow.pyfunc
rows = pd.read_parquet({str(tmp_path / "rows.parquet")!r})
model = mlflow.pyfunc.load_model({str(path)!r})
begin = time.perf_counter()
assert model.predict(rows)["mean"].notna().all()
print(time.perf_counter() - begin)
assert "prefect" not in sys.modules
"""
    env = {**os.environ, "PYTENSOR_FLAGS": f"base_compiledir={tmp_path / 'cache'}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 10  # 0.9 s on a quiet machine
    assert not [f for f in (tmp_path / "cache").rglob("*") if f.suffix in (".so", ".c", ".cpp", ".nbc")]


@pytest.mark.slow
def test_mlflow_serves_the_champion(result: Result, tmp_path: Path, database: Callable[[Path], str]) -> None:
    address = database(tmp_path / "runs")
    registry = registry_of(connect(address, "small"))
    register(registry, result, registry.tracker.open(NewRun("fit")))  # type: ignore[attr-defined]
    assert promote(registry, "small", panel(weeks=24), RULES).champion == 1
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/small@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    log = (tmp_path / "serve.log").open("w")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where MLflow looks for uvicorn
    env = {**os.environ, "MLFLOW_TRACKING_URI": address, "PATH": path}
    server = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
    try:
        rows = asked(result, 20)
        rows.loc[3, "product"] = "P99"
        body = {"dataframe_split": rows.to_dict(orient="split", index=False), "params": {"interval": 0.5}}
        answer = pd.DataFrame(posted(server, port, body, tmp_path / "serve.log")["predictions"])
        known = rows.drop(index=3)
        np.testing.assert_allclose(answer.drop(index=3)["upper"], expected(result, known, 0.5)["upper_50"])
        assert answer.loc[3, "status"] == "unknown"
        with pytest.raises(urllib.error.HTTPError) as refused:
            posted(
                server,
                port,
                {"dataframe_split": {"columns": ["week"], "data": [[1]]}},
                tmp_path / "serve.log",
            )
        assert refused.value.code == 400
        refused.value.close()
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)  # its group: MLflow starts the server through a shell
            server.wait(timeout=60)
        log.close()


def posted(server: "subprocess.Popen[bytes]", port: int, body: dict[str, Any], log: Path) -> Any:
    """The answer of /invocations, once the server is up."""
    deadline = time.monotonic() + 180
    data = json.dumps(body).encode()
    while True:
        assert server.poll() is None, log.read_text()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", data, {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
