"""The library's front door: a configuration applied to every entity of a panel."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from posterity.config import Config, from_dict, load, with_overrides
from posterity.errors import ResultError
from posterity.panel import Panel
from posterity.panel.reading import Source
from posterity.portfolio.claim import alone
from posterity.portfolio.dispatch import Listener
from posterity.portfolio.execute import Executed, execute
from posterity.portfolio.manifest import RUNS
from posterity.portfolio.merge import merge
from posterity.portfolio.newest import beside, note_last
from posterity.portfolio.parts import FOLDER
from posterity.portfolio.plan import Plan, make_plan, read_panel
from posterity.portfolio.record import Record
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.runners import Runner, cores, runner_for
from posterity.portfolio.store import published


@dataclass(frozen=True)
class Portfolio:
    """One configuration, ready to be applied to panels: `Portfolio("configs/adoption.yaml").fit()`."""

    config: Config

    def __init__(self, config: Config | Mapping[str, Any] | str | Path) -> None:
        """From a configuration, a dictionary, or the path of a YAML file. Raises ConfigError with every
        problem.
        """
        match config:
            case Config():
                value = config
            case Mapping():
                value = from_dict(config)
            case _:
                value = load(config)
        object.__setattr__(self, "config", value)

    def read(self, panel: Panel | Source | None = None) -> Panel:
        """The panel to fit: read, checked and sorted. Default: the configuration's `data.source`."""
        return panel if isinstance(panel, Panel) else read_panel(self.config, panel)

    def plan(self, panel: Panel | Source | None = None, *, entities: tuple[str, ...] | None = None) -> Plan:
        """What `fit` would do. Its configuration names the source really read; a table in memory has none."""
        read = self.read(panel)
        if panel is None:
            return make_plan(self.config, read, entities)
        source = os.fspath(panel) if isinstance(panel, str | os.PathLike) else None
        return make_plan(with_overrides(self.config, {"data.source": source}), read, entities)

    def fit(
        self,
        panel: Panel | Source | None = None,
        *,
        out: str | Path | None = None,
        entities: tuple[str, ...] | None = None,
        workers: int | None = None,
        listen: Listener = lambda _: None,
    ) -> Result:
        """Fit every entity and publish a result folder.

        `out` defaults to `runs/<name>/<key>`, the key being a digest of everything that decides the result:
        the same inputs find their finished result and nothing is fitted again, and a run that was killed goes
        on where it was. `workers` processes share the work (default: one a core; 0: this process). `listen`
        gets a report a shard.

        Raises ConfigError, PanelError or ModelError before anything is written, ResultError where `out` holds
        the result of other inputs.
        """
        return run(self.plan(panel, entities=entities), out=out, workers=workers, listen=listen).result


@dataclass(frozen=True)
class Run:
    """A result and how it came about; `executed` is None where everything was there already (`unchanged`)."""

    result: Result
    executed: Executed | None

    @property
    def counts(self) -> dict[str, int]:
        """Entities by status as of this run: `unchanged` where nothing had to be done."""
        known = self.result.counts if self.executed is None else self.executed.known
        fresh = {s: self.result.counts.get(s, 0) - known.get(s, 0) for s in ("ok", "flagged", "failed")}
        return {**fresh, "unchanged": sum(known.values())}

    @property
    def too_many_failed(self) -> bool:
        """Whether more than the configured share of entities has no posterior."""
        counts = self.result.counts
        return counts.get("failed", 0) > self.result.config.execution.max_failed * sum(counts.values())


def run(
    plan: Plan,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    runner: Runner | None = None,
    listen: Listener = lambda _: None,
) -> Run:
    """Execute a plan into its folder and publish, unless its result is there already."""
    folder = result_folder(plan, out)
    with claimed(plan, folder) as there:
        if there is not None:
            return Run(there, None)
        begin = time.perf_counter()
        count = worker_count(plan, workers)
        hands = runner or runner_for(count)
        try:
            executed = execute(plan, folder, hands, max(1, count), listen)
        finally:
            if runner is None:
                hands.close()
        return Run(publish(plan, folder, time.perf_counter() - begin), executed)


@contextmanager
def claimed(plan: Plan, folder: Path) -> Iterator[Result | None]:
    """A plan's finished result where there is one; else None, and the folder is this run's until the end."""
    if (there := finished(plan, folder)) is not None:
        yield there
    else:
        with alone(folder):
            yield finished(plan, folder)  # whoever held the folder before may have done the work
    if published(folder) and beside(folder, plan.config.name):
        note_last(folder)


def publish(
    plan: Plan, folder: Path, seconds: float, record: Record | None = None, lent: Iterable[pa.Table] = ()
) -> Result:
    """Merge the parts of a finished execution into the published result, and drop them; `record` and `lent`
    as in `merge`.
    """
    try:
        merge(plan, folder, seconds, record, lent)
    except ResultError:
        # Another writer with the same inputs was faster: its result is as good as ours.
        if finished(plan, folder) is None:
            raise
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    return open_result(folder)


def result_folder(plan: Plan, out: str | Path | None) -> Path:
    """Where a plan's result goes."""
    return RUNS / plan.config.name / plan.run_key[:12] if out is None else Path(out)


def finished(plan: Plan, folder: Path) -> Result | None:
    """The published result of this very plan in `folder`, if it is there; ResultError where another one
    is.
    """
    if not published(folder):
        return None
    result = open_result(folder)
    if result.manifest.run_key != plan.run_key:
        raise ResultError(
            f"{folder} holds a finished result of other inputs (run key {result.manifest.run_key[:12]}, not "
            f"{plan.run_key[:12]}); results are never changed: write to another folder, or leave "
            "out --out to get one named by its inputs"
        )
    return result


def worker_count(plan: Plan, workers: int | None) -> int:
    """How many processes a run uses: as asked, else as configured, else one a core; never more than
    entities.
    """
    configured = plan.config.execution.workers
    wanted = workers if workers is not None else cores() if configured == "auto" else configured
    return min(wanted, max(1, len(plan.fittable)))
