"""Whatever happens to workers, entities and the run itself: nothing is lost and nothing is done twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio
from posterity.errors import RunnerError
from posterity.portfolio.parts import Parts
from posterity.portfolio.portfolio import run
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.runners import Inline, Processes, WorkerDied
from posterity.portfolio.shard import Marker, Report, Shard

type Fit = Callable[[Shard], Report]

HOSTILE = Path(__file__).parents[1] / "flows"
LINE = {
    "parameters": {"ceiling": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 10}}},
    "quantities": {"curve": {"expression": "ceiling * week / 10"}},
    "likelihood": {"dist": "Normal", "kwargs": {"mu": "curve", "sigma": 1}},
}


def config(**changes: object) -> dict[str, object]:
    data = {"entity": "shop", "time": "week", "target": "y"}
    return {"name": "test", "data": data, "model": LINE, "inference": {"draws": 250}} | changes


def panel(entities: int = 12, rows: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    week = np.tile(np.arange(1, rows + 1), entities)
    shop = np.repeat([f"shop {i:02d}" for i in range(entities)], rows)
    return pd.DataFrame({"shop": shop, "week": week, "y": week / 10 + rng.normal(size=len(week))})


def same(a: Result, b: Result) -> None:
    """Every table but times is equal."""
    for name in ("entities", "parameters", "intervals", "draws"):
        left, right = (getattr(r, name).drop(columns="seconds", errors="ignore") for r in (a, b))
        pd.testing.assert_frame_equal(left, right, check_exact=True)


@dataclass
class Dying:
    """A runner whose workers die of chosen entities, and of everything else that is in flight then."""

    guilty: frozenset[str]
    bystanders: bool = True
    seen: list[int] = field(default_factory=list)

    def run(self, function: Fit, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Report | WorkerDied]]:
        self.seen.append(len(shards))
        broken = False
        for shard in shards:
            at = next((i for i, w in enumerate(shard.work) if w.entity in self.guilty), None)
            if at is not None or (broken and self.bystanders):
                if at is not None:
                    with Marker(shard.part) as marker:
                        marker.now(at)
                        content = shard.part.with_suffix(".at").read_bytes()
                    shard.part.with_suffix(".at").write_bytes(content)  # as a killed worker leaves it
                broken = True
                yield shard, WorkerDied("gone")
            else:
                yield from Inline().run(function, [shard])

    def close(self) -> None:
        pass


def test_an_entity_that_kills_its_worker_is_failed_and_no_other(tmp_path: Path) -> None:
    guilty = frozenset({"shop 03", "shop 10"})
    plan = Portfolio(config()).plan(panel())
    done = run(plan, out=tmp_path / "a", workers=2, runner=Dying(guilty))
    failed = done.result.entities.set_index("entity").query("status == 'failed'")
    assert set(failed.index) == guilty
    assert failed["reason"].str.contains("died twice").all()
    clean = run(plan, out=tmp_path / "b", workers=0).result
    others = [e for e in clean.entities["entity"] if e not in guilty]
    for entity in others:
        assert done.result.entity_table("draws.parquet", entity).equals(
            clean.entity_table("draws.parquet", entity)
        )


def test_workers_that_die_before_any_entity_are_an_error_of_the_machine(tmp_path: Path) -> None:
    class Stillborn:
        def run(self, function: Fit, shards: Sequence[Shard]) -> Iterator[tuple[Shard, WorkerDied]]:
            yield from ((shard, WorkerDied("no memory")) for shard in shards)

    with pytest.raises(RunnerError, match="before they began an entity"):
        run(Portfolio(config()).plan(panel()), out=tmp_path / "a", workers=2, runner=Stillborn())


@pytest.mark.slow
def test_a_real_crash_in_a_real_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HOSTILE))
    monkeypatch.setenv("HOSTILE_DIR", str(tmp_path))
    monkeypatch.syspath_prepend(str(HOSTILE))
    model = {**LINE, "quantities": {"curve": {"function": "hostile:curve"}}}
    rows = panel(entities=6)
    rows.loc[rows["shop"].eq("shop 04") & rows["week"].eq(6), "week"] = 666
    plan = Portfolio(config(model=model)).plan(rows.rename(columns={"week": "x"}).assign(week=rows["week"]))
    done = run(plan, out=tmp_path / "run", workers=2, runner=Processes(2))
    assert dict(done.result.counts)["failed"] == 1
    assert done.result.entity_row("shop 04")["status"] == "failed"


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL to the whole process group at several moments; the last run does the rest."""
    rows, out = tmp_path / "panel.parquet", tmp_path / "run"
    panel(entities=60).to_parquet(rows)
    file = tmp_path / "config.yaml"
    file.write_text(_yaml(config(inference={"draws": 100, "method": "nuts"})))
    command = [
        sys.executable,
        "-m",
        "posterity.cli",
        "fit",
        str(file),
        "--data",
        str(rows),
        "--out",
        str(out),
    ]
    command += ["--workers", "1", "--json"]
    kept: list[int] = []
    for _ in range(3):
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        before = _parts(out)
        deadline = time.monotonic() + 60
        while process.poll() is None and _parts(out) <= before and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not (out / "manifest.json").exists()
        kept.append(len(Parts(out).done()))
    assert 0 < kept[0] < kept[1] < kept[2] < 60  # every run went on, none began again
    plan = Portfolio(file).plan(rows)
    done = run(plan, out=out, workers=0)
    assert done.executed is not None
    assert done.executed.resumed == kept[2]
    same(done.result, run(plan, out=tmp_path / "whole", workers=0).result)
    assert not (out / "parts").exists()


def test_a_damaged_part_is_set_aside_and_done_again(tmp_path: Path) -> None:
    plan = Portfolio(config()).plan(panel())

    def stop(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(plan, out=tmp_path / "a", workers=0, listen=stop)
    (part,) = (tmp_path / "a" / "parts").glob("*.arrow")
    part.write_bytes(part.read_bytes()[:-40])
    done = run(plan, out=tmp_path / "a", workers=0)
    same(done.result, run(plan, out=tmp_path / "b", workers=0).result)


def test_two_runs_at_once_leave_one_result(tmp_path: Path) -> None:
    plan = Portfolio(config()).plan(panel())
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run, plan, out=tmp_path / "a", workers=1) for _ in range(2)]
        results = [r.result().result for r in runs]
    same(*results)
    open_result(tmp_path / "a").verify()


def test_entities_with_reasons_are_failed_and_the_rest_fitted(tmp_path: Path) -> None:
    rows = panel(entities=4)
    rows.loc[2, "y"] = np.nan
    rows.loc[8, "week"] = 2  # shop 01 has week 2 twice
    result = Portfolio(config()).fit(rows, out=tmp_path / "a", workers=0)
    table = result.entities.set_index("entity")
    assert dict(result.counts) == {"ok": 2, "flagged": 0, "failed": 2}
    assert "missing" in table.loc["shop 00", "reason"]
    assert "a time is repeated" in table.loc["shop 01", "reason"]
    assert table["n_rows"].eq(6).all()


def test_a_result_in_which_everything_failed_can_be_read(tmp_path: Path) -> None:
    rows = panel(entities=3)
    rows.loc[rows["week"].eq(4), "y"] = np.nan
    result = Portfolio(config()).fit(rows, out=tmp_path / "a", workers=0)
    assert dict(result.counts) == {"ok": 0, "flagged": 0, "failed": 3}
    for table in (result.parameters, result.intervals, result.draws):
        assert len(table) == 0
    assert {"parameter", "mean", "lower_90"} <= set(result.parameters.columns)
    assert {"time", "observed", "median"} <= set(result.intervals.columns)
    assert {"chain", "draw", "ceiling"} <= set(result.draws.columns)


def _parts(out: Path) -> int:
    return len(list((out / "parts").glob("*.arrow")))


def _yaml(values: dict[str, object]) -> str:
    from posterity.config import from_dict, to_yaml

    return to_yaml(from_dict(values))


def test_broken_code_is_an_error_and_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from posterity.portfolio import entity

    def broken(*_: object, **__: object) -> None:
        raise NameError("name 'oops' is not defined")

    plan = Portfolio(config()).plan(panel())
    with monkeypatch.context() as patch:
        patch.setattr(entity, "fit", broken)
        with pytest.raises(RunnerError, match=r"all 12 entities failed.*NameError.*oops"):
            run(plan, out=tmp_path / "a", workers=0)
    assert dict(run(plan, out=tmp_path / "a", workers=0).result.counts) == {
        "ok": 12,
        "flagged": 0,
        "failed": 0,
    }


def test_a_result_names_the_data_that_were_really_read(tmp_path: Path) -> None:
    rows = tmp_path / "other.parquet"
    panel().to_parquet(rows)
    data = {"entity": "shop", "time": "week", "target": "y", "source": "configured.parquet"}
    portfolio = Portfolio(config(data=data))
    for name, given, named in (("file", rows, str(rows)), ("memory", panel(), None)):
        result = portfolio.fit(given, out=tmp_path / name, workers=0)
        assert result.config.data.source == named
        (node,) = (n for n in result.graph.nodes if n.kind == "data")
        assert node.attributes["source"] == named


ORPHANS = """
import os, time
from posterity.portfolio.runners import Processes

class Nap:
    title = "nap"

def sleeping(_):
    print(os.getpid(), flush=True)
    time.sleep(120)

list(Processes(1).run(sleeping, [Nap()]))
"""


def test_workers_of_a_killed_run_go_with_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    os.kill(worker, 0)  # it is there
    parent.kill()
    # The pipe ends when the last process that writes to it is gone, long before the nap is over.
    parent.communicate(timeout=60)
