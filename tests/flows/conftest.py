"""A real Prefect server for all tests of the flows, and the script run as a user runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]

CONFIG = """\
name: small
data: {{source: {panel}, entity: shop, time: week, target: sales}}
model:
  parameters: {{ceiling: {{dist: HalfNormal, kwargs: {{sigma: 1}}}}}}
  quantities: {{curve: {curve}}}
  likelihood: {{dist: Normal, kwargs: {{mu: curve, sigma: {{dist: HalfNormal, kwargs: {{sigma: 0.1}}}}}}}}
inference: {{method: laplace}}
gates: {{khat: 1, ess: 10}}
execution: {{max_failed: {max_failed}}}
"""

HOSTILE = '{function: "hostile:curve", arguments: {x: week}}'
PLAIN = '{expression: "ceiling * week / 10"}'


@dataclass(frozen=True)
class Finished:
    """A script that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return loaded


@dataclass(frozen=True)
class Shop:
    """A folder with a configuration, its panel, and a place for results."""

    folder: Path
    env: dict[str, str]

    @property
    def config(self) -> Path:
        return self.folder / "small.yaml"

    @property
    def out(self) -> Path:
        return self.folder / "result"

    def write(self, shops: dict[str, int | None], *, curve: str = HOSTILE, max_failed: float = 0.5) -> None:
        """Twelve weeks a shop; a number replaces the last week."""
        rng = np.random.default_rng(7)
        names, weeks = [], []
        for name, last in shops.items():
            names += [name] * 12
            weeks += [*range(1, 12), 12 if last is None else last]
        week = np.array(weeks, dtype=np.int64)
        sales = 0.7 * week / 10 + rng.normal(0, 0.05, len(week))
        panel = self.folder / "panel.parquet"
        pq.write_table(pa.table({"shop": names, "week": week, "sales": sales}), panel)
        text = CONFIG.format(panel=panel, curve=curve, max_failed=max_failed)
        self.config.write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(CHECKOUT / "flows" / "train.py"), str(self.config), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=pipe, stderr=pipe, text=True)

    def train(self, *arguments: str) -> Finished:
        """`python flows/train.py CONFIG --out OUT --workers 1 --json ...`, to its end."""
        process = self.start("--out", str(self.out), "--workers", "1", "--json", *arguments)
        out, err = process.communicate(timeout=300)
        return Finished(process.returncode, out, err)


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server with a home of its own."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    log = (home / "server.log").open("w")
    env = {**os.environ, "PREFECT_HOME": str(home)}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    server = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=home)
    url = f"http://127.0.0.1:{port}/api"
    try:
        wait_for(lambda: server.poll() is not None or healthy(url), 90, "the Prefect server")
        assert server.poll() is None, (home / "server.log").read_text()
        yield url
    finally:
        stop(server)
        log.close()


@pytest.fixture
def shop(tmp_path: Path, prefect_api: str) -> Shop:
    """A folder for a portfolio that runs on the shared server."""
    env = {**os.environ, "PREFECT_API_URL": prefect_api, "PREFECT_HOME": str(tmp_path / "home")}
    env |= {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "PYTHONPATH": str(HERE)}
    env |= {"HOSTILE_DIR": str(tmp_path)}
    return Shop(tmp_path, env)


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """An answer of the server's API: GET, or POST with a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def healthy(url: str) -> bool:
    try:
        return bool(ask(f"{url}/health"))
    except OSError:
        return False


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of a condition."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: nothing after {seconds} s"
        time.sleep(0.1)
    return value


def stop(process: subprocess.Popen[Any]) -> None:
    """End a process that a test started, by its number."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
