"""Prefect's temporary server, for a flow that is run by hand where no server is configured.

Prefect would start one too, but in the terminal's process group, where Ctrl-C ends the server before the flow
can tell it anything, without pages, and left behind by a flow that is killed.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import prefect
from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from posterity.errors import RunnerError


class TemporaryServer:
    """A server that starts in the background, as that takes seconds which the caller can use."""

    def __init__(self) -> None:
        settings = get_current_settings()
        self.needed = settings.api.url is None
        self._patience = settings.server.ephemeral.startup_timeout_seconds
        if self.needed:
            self._port = free_port()
            self._process = start(self._port)

    def wait(self) -> None:
        """Until the server answers, which from then on is this process's. At once where one is configured."""
        if not self.needed:
            return
        url = f"http://127.0.0.1:{self._port}/api"
        deadline = time.monotonic() + self._patience
        while not healthy(url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RunnerError(
                    f"Prefect's temporary server did not answer in {self._patience} s; is the machine busy? "
                    "Set PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS higher, or start a server that "
                    "stays (prefect server start) and name it in PREFECT_API_URL"
                )
            time.sleep(0.1)
        # For all threads, of which Prefect has some, and for workers: a context's settings reach neither.
        os.environ["PREFECT_API_URL"] = url
        refresh_global_settings_context()


@contextmanager
def named() -> Iterator[None]:
    """Settings that name the server in use: workers would each start one of their own otherwise."""
    with get_client(sync_client=True) as client:
        url = str(client.api_url)
    with temporary_settings({PREFECT_API_URL: url.rstrip("/")}):
        yield


def start(port: int) -> subprocess.Popen[bytes]:
    """Start a server that ends with this process, however that ends."""
    folder = str(Path(prefect.__file__).parent)
    command = [sys.executable, "-m", "uvicorn", "--app-dir", folder, "--factory"]
    command += ["prefect.server.api.server:create_app", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "error", "--lifespan", "on"]
    # Not marked as ephemeral, which would leave out the pages that the flow's log links to.
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    process = subprocess.Popen(command, env={**os.environ, **settings}, start_new_session=True)
    atexit.register(stop, process)
    # A shell waits at a pipe whose other end only this process has: the kernel closes it at a kill -9 too.
    guard = ["/bin/sh", "-c", 'read -r _; kill "$0" 2>/dev/null', str(process.pid)]
    _guards.append(subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True))
    return process


_guards: list[subprocess.Popen[bytes]] = []  # kept, as a collected Popen would close its pipe


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server, gently at first."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def healthy(url: str) -> bool:
    """Whether the server answers."""
    with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
        return bool(answer.status == 200)
    return False
