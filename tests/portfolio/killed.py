"""A process that kills copies of itself amid refits: `python -m tests.portfolio.killed FOLDER SEED KILLS`.

Every child is a copy of this process, with all models compiled, and is killed at a random start, end or pause
of a random function of the library. Each delivery is killed twice on its way and then finished; the last line
printed is a JSON object that says where children died and what differs from the uninterrupted refit.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import posterity
from posterity import Portfolio, Result
from posterity.inference import compiled
from posterity.portfolio.refit.run import refit
from tests.portfolio.refitted import carry_everything
from tests.portfolio.small import SMALL, panel

SOURCE = str(Path(posterity.__file__).parent)
TOOL = sys.monitoring.PROFILER_ID
EVENTS = ("PY_START", "PY_RETURN", "PY_YIELD", "PY_RESUME")
KILLS_EACH = 2

type Point = tuple[str, str, str]


class Watch:
    """Counts how often execution came to every point of the library; kills this process at the n-th time."""

    def __init__(self, point: Point | None = None, nth: int = 0) -> None:
        self.seen: Counter[Point] = Counter()
        self.point, self.nth = point, nth

    def __enter__(self) -> "Watch":
        sys.monitoring.use_tool_id(TOOL, "kills")
        for event in EVENTS:
            sys.monitoring.register_callback(TOOL, getattr(sys.monitoring.events, event), self._at(event))
        sys.monitoring.set_events(TOOL, sum(getattr(sys.monitoring.events, event) for event in EVENTS))
        return self

    def __exit__(self, *_: object) -> None:
        sys.monitoring.set_events(TOOL, 0)
        sys.monitoring.free_tool_id(TOOL)
        sys.monitoring.restart_events()

    def _at(self, event: str) -> Any:
        def callback(code: CodeType, *_: object) -> object:
            if not code.co_filename.startswith(SOURCE):
                return sys.monitoring.DISABLE
            point = event, code.co_filename.removeprefix(SOURCE), code.co_qualname
            self.seen[point] += 1
            if point == self.point and self.seen[point] == self.nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return None

        return callback


def main() -> None:
    with pytest.MonkeyPatch.context() as patch:
        carry_everything(patch)
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        killed()


def killed() -> None:
    folder, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    base, delivery = begun(folder / "base")
    whole = taken_in(base, delivery, folder / "warm")
    with Watch() as watch:
        whole = taken_in(base, delivery, folder / "whole")
    rng, points = np.random.default_rng(seed), sorted(watch.seen)
    died: list[Point] = []
    differences: list[str] = []
    number = 0
    while len(died) < kills:
        number += 1
        out = folder / f"killed{number}"
        for _ in range(min(KILLS_EACH, kills - len(died))):
            point = points[rng.integers(len(points))]
            nth = int(rng.integers(1, watch.seen[point] + 1))
            if not in_a_child(base, delivery, out, point, nth):
                died.append(point)
        differences += different(taken_in(base, delivery, out), whole)
    print(json.dumps({"died": died, "points": len(points), "deliveries": number, "differences": differences}))


def begun(folder: Path) -> tuple[Result, pd.DataFrame]:
    """A portfolio of eight entities with a population, and a delivery of two chunks: with a late row, a
    revised one, rows that are inside already, and an entity that is new.
    """
    table = panel(5, 2, 28).to_pandas()
    old, new = table["product"] < "P05", table["product"] == "P05"
    known = table[old & (table["week"] <= 20) & (table["week"] != 7)]
    late = old & table["week"].eq(7) & table["product"].eq("P01")
    delivery = table[late | (old & (table["week"] >= 18)) | (new & (table["week"] >= 25))].copy()
    delivery.loc[(delivery["product"] == "P02") & (delivery["week"] == 19), "adoption"] += 0.01
    config = {
        **SMALL,
        "transfer": {"established": {"min_rows": 15}},
        "refit": {"every": 4, "mode": "carry", "audit": 2},
    }
    return Portfolio(config).fit(known, out=folder, workers=0), delivery


def taken_in(base: Result, delivery: pd.DataFrame, out: Path) -> Result:
    return refit(base, delivery, out=out, workers=0).result


def in_a_child(base: Result, delivery: pd.DataFrame, out: Path, point: Point, nth: int) -> bool:
    """Refit in a copy of this process; whether it came to its end."""
    child = os.fork()
    if not child:
        signal.alarm(120)
        try:
            with Watch(point, nth):
                taken_in(base, delivery, out)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
        raise RuntimeError(f"a child ended by signal {os.WTERMSIG(status)} at {point}, {nth}")
    return not os.WIFSIGNALED(status)


def different(found: Result, expected: Result) -> Iterator[str]:
    """What differs between two results and the versions before them, times left out."""
    while True:
        files, wanted = dict(found.manifest.files), dict(expected.manifest.files)
        name = f"{found.path.name} version {found.version}"
        if files.keys() != wanted.keys():
            yield f"{name}: files {sorted(files.keys() ^ wanted.keys())}"
        for file in files.keys() & wanted.keys():
            if file != "entities.parquet" and files[file] != wanted[file]:
                yield f"{name}: {file}"
        tables = [r.table("entities.parquet").drop_columns(["seconds"]) for r in (found, expected)]
        if not tables[0].equals(tables[1]):
            yield f"{name}: entities.parquet"
        if found.manifest.run_key != expected.manifest.run_key or found.counts != expected.counts:
            yield f"{name}: manifest.json"
        found.verify()
        if left := [p.name for p in found.path.iterdir() if p.name.startswith(".draft") or p.name == "parts"]:
            yield f"{name}: left behind {left}"
        if found.version == 2:
            return
        found, expected = (r.as_of(r.version - 1) for r in (found, expected))


if __name__ == "__main__":
    main()
