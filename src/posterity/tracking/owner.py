"""Which process keeps a run open, written into the run so that a later one can tell whether it lives."""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import psutil

# MLflow's pages hide what begins with `mlflow.`: these tags are for the next process, not for people.
OWNER = "mlflow.posterity.owner"
HEARTBEAT = "mlflow.posterity.heartbeat"
PATIENCE = 900.0
"""Seconds without a heartbeat after which a process that cannot be seen from here counts as dead."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: host, boot and process namespace, its number, and when it began (numbers are used again)."""

    host: str
    boot: str
    space: str
    pid: int
    since: float

    @classmethod
    def here(cls) -> Self:
        """The calling process."""
        pid = os.getpid()
        return cls(platform.node(), _boot(), _space(), pid, psutil.Process(pid).create_time())

    @classmethod
    def from_tag(cls, text: str) -> Self | None:
        """What `to_tag` wrote, None for anything else."""
        try:
            raw = json.loads(text)
            return cls(
                str(raw["host"]), str(raw["boot"]), str(raw["space"]), int(raw["pid"]), float(raw["since"])
            )
        except (ValueError, TypeError, KeyError):
            return None

    def to_tag(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    def near(self) -> bool:
        """Whether the process would be visible from here: same host, same boot, same namespace."""
        return (self.host, self.boot, self.space) == (platform.node(), _boot(), _space())

    def runs(self) -> bool:
        """Whether the process still runs; only for one that is `near`."""
        try:
            process = psutil.Process(self.pid)
            # The same number with another beginning is another process.
            same = abs(process.create_time() - self.since) < 1.0
            return same and bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def alive(tags: dict[str, str], started: int) -> bool:
    """Whether the owner named in a run's tags still works on it; `started` in milliseconds since 1970.

    A near process is looked up. Another host's must have sent a heartbeat within `PATIENCE`. A run without an
    owner is somebody else's and counts as alive.
    """
    owner = Owner.from_tag(tags.get(OWNER, ""))
    if owner is None:
        return True
    if owner.near():
        return owner.runs()
    try:
        beat = float(tags.get(HEARTBEAT, ""))
    except ValueError:
        beat = started / 1000
    return time.time() - beat < PATIENCE


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"


def _space() -> str:
    # Two containers may share host name and kernel, but not their process numbers.
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
