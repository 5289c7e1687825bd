"""A delivery of rows into new versions of a result, one for every chunk."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posterity.config import Config, with_overrides
from posterity.errors import ResultError
from posterity.panel import Panel
from posterity.panel.reading import Source
from posterity.portfolio import unobserved
from posterity.portfolio.dispatch import Listener
from posterity.portfolio.execute import Executed, execute
from posterity.portfolio.ledger import LEDGER, Taken
from posterity.portfolio.manifest import RUNS
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan, make_plan
from posterity.portfolio.portfolio import claimed, publish, worker_count
from posterity.portfolio.record import Record, config_digest
from posterity.portfolio.refit.arrivals import Arrivals, Step, arrivals
from posterity.portfolio.refit.execute import execute_refit
from posterity.portfolio.refit.inside import Inside
from posterity.portfolio.refit.modes import EXACT, NEWCOMER
from posterity.portfolio.refit.plan import RefitPlan, check, make_refit_plan, together_because
from posterity.portfolio.refit.settle import record_of, settle, taken_over
from posterity.portfolio.refit.updates import updates
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.runners import Runner, runner_for
from posterity.portfolio.store import published

VERSIONS = "versions"
"""Folder inside a refit's, where the versions between the base and the last one lie."""


@dataclass(frozen=True)
class Refitted:
    """The last version that a delivery made, what was done for it (None: it was there already, or nothing
    was to be done), the folders of all versions it made, and the delivery's rows by kind.
    """

    result: Result
    executed: Executed | None
    versions: tuple[Path, ...]
    rows: Mapping[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """Entities by status as of the last step: `unchanged` where it had nothing to do."""
        before = self.result.manifest.extra["parent"]["version"]
        table = self.result.entities
        now = table[table["version"] > before] if self.executed is not None else table[:0]
        statuses = now["status"].value_counts()
        counted = {s: int(statuses.get(s, 0)) for s in ("ok", "flagged", "failed")}
        return {**counted, "unchanged": len(table) - len(now)}

    @property
    def too_many_failed(self) -> bool:
        """Whether more than the configured share of entities has no posterior."""
        counts = self.result.counts
        return counts.get("failed", 0) > self.result.config.execution.max_failed * sum(counts.values())


def refit(
    result: Result,
    rows: Source,
    *,
    config: Config | None = None,
    mode: str | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    runner: Runner | None = None,
    listen: Listener = lambda _: None,
) -> Refitted:
    """Take the rows of a delivery that are not inside yet into the posteriors, a version for every chunk.

    `rows` may hold the new rows alone, or the whole panel again. `config` takes the place of the result's own
    configuration, `mode` that of its `refit.mode`. Killed at any time, the same call goes on where it was.

    Raises ConfigError, PanelError or ResultError before anything is written.
    """
    settings = config or result.config
    if mode is not None:
        settings = with_overrides(settings, {"refit.mode": mode})
    check(settings)
    inside = Inside.of(result, settings)
    delivery = arrivals(inside, rows)
    _free(out, inside)
    planner = _Planner(delivery, str(rows) if isinstance(rows, str | Path) else None)
    folders, done = [], None
    with closing(_Hands(runner)) as hands:
        for number, step in enumerate(delivery.steps):
            plan = planner.plan(inside, step, number)
            folder = _folder(out, plan, inside, number == len(delivery.steps) - 1)
            count, extra = _workers(plan, workers), planner.extra(inside, number)
            found, done = _run(plan, inside, step, folder, extra, max(1, count), hands.runner(count), listen)
            folders.append(folder)
            inside = Inside.of(found, inside.config)
    return Refitted(inside.result, done, tuple(folders), delivery.counts)


class _Hands:
    """One pool for all steps of a delivery, which keeps the models it has compiled: a larger one takes its
    place where a step has work for more. A runner that the caller gave is used as it is, and not closed.
    """

    def __init__(self, given: Runner | None) -> None:
        self._given, self._size = given, -1
        self._own: Runner | None = None

    def runner(self, workers: int) -> Runner:
        if self._given is not None:
            return self._given
        if self._own is None or workers > self._size:
            self.close()
            self._own, self._size = runner_for(workers), workers
        return self._own

    def close(self) -> None:
        if self._own is not None:
            self._own.close()


@dataclass(frozen=True)
class _Planner:
    delivery: Arrivals
    source: str | None

    def plan(self, inside: Inside, step: Step, number: int) -> Plan:
        left_out = self.delivery.left_out if number == 0 else {}
        there = set(inside.result.table("entities.parquet")["entity"].to_pylist())
        mine = {e: why for e, why in left_out.items() if e in there}
        if together_because(inside.config) and (step.rows is not None or step.changes):
            return make_plan(inside.config, self._complete(inside, step.panel))
        plan = make_refit_plan(inside, step, mine)
        return replace(plan, panel=self._complete(inside, plan.panel))

    def _complete(self, inside: Inside, panel: Panel) -> Panel:
        """The panel of a step with what the delivery says beside its rows."""
        told = panel.with_reasons({}, self.delivery.notices)
        before = inside.result.table(unobserved.FILE) if inside.result.has(unobserved.FILE) else None
        return unobserved.still(told, before, self.delivery.unobserved)

    def extra(self, inside: Inside, number: int) -> dict[str, Any]:
        """What the manifest says of a version: its parent, and what of the delivery it took in."""
        manifest, path = inside.result.manifest, inside.result.path
        parent = {"run_key": manifest.run_key, "path": str(path.resolve()), "version": inside.version}
        later = [0 if step.rows is None else step.rows.n_rows for step in self.delivery.steps[1:]]
        if number:
            rows = {"new": later[number - 1]}
        else:
            rows = {kind: int(n) for kind, n in sorted(self.delivery.counts.items())}
            rows |= {"new": rows["new"] - sum(later)} if "new" in rows else {}
        return {"parent": parent, "rows": rows, "delivery": self.source}


def _folder(out: str | Path | None, plan: Plan, inside: Inside, last: bool) -> Path:
    base = RUNS / plan.config.name / plan.run_key[:12] if out is None else Path(out)
    return base if last or out is None else base / VERSIONS / str(inside.version + 1)


def _free(out: str | Path | None, inside: Inside) -> None:
    """Raise ResultError where `out` holds a result that no refit of this one can have left: before any step
    writes, for the last one would find it only when the others are done.
    """
    if out is None or not published(Path(out)):
        return
    parent = open_result(out).manifest.extra.get("parent")
    if parent is None or parent["version"] < inside.version:
        raise ResultError(
            f"{out} holds a finished result of other inputs; results are never changed: write to another "
            "folder, or leave out --out to get one named by its inputs"
        )


def _workers(plan: Plan, asked: int | None) -> int:
    """Processes for a step: as many as any run would have, but never more than there are updates."""
    work = len(plan.updates) if isinstance(plan, RefitPlan) else len(plan.fittable)
    return min(worker_count(plan, asked), max(1, work))


def _run(
    plan: Plan,
    inside: Inside,
    step: Step,
    folder: Path,
    extra: Mapping[str, Any],
    workers: int,
    runner: Runner,
    listen: Listener,
) -> tuple[Result, Executed | None]:
    """One step to its published result."""
    with claimed(plan, folder) as there:
        if there is not None:
            return there, None
        begin = time.perf_counter()
        if not isinstance(plan, RefitPlan):
            executed = execute(plan, folder, runner, workers, listen)
            record = _together(plan, inside, step, extra)
            return publish(plan, folder, time.perf_counter() - begin, record), executed
        done = execute_refit(plan, folder, runner, workers, listen)
        final = settle(plan, done)
        record = record_of(final, done, extra)
        tables = taken_over(final, done, Parts(folder))
        return publish(final, folder, time.perf_counter() - begin, record, tables), done.executed


def _together(plan: Plan, inside: Inside, step: Step, extra: Mapping[str, Any]) -> Record:
    """The record of a version in which everybody was fitted again, because each depends on all."""
    why = together_because(plan.config)
    decided = updates(inside, step, everybody=why)
    version = inside.version + 1
    base = inside.result
    config = config_digest(plan)
    counts = dict(zip(plan.panel.entities, plan.panel.counts.tolist(), strict=True))
    modes = {e: NEWCOMER if decided[e].mode == NEWCOMER else EXACT for e in plan.panel.entities}
    taken = tuple(
        Taken(
            entity=entity,
            version=version,
            update=modes[entity],
            fit_key=plan.keys[entity],
            parent_fit_key=update.parent,
            n_rows=counts[entity],
            new_rows=update.rows,
            first_time=None,
            last_time=None,
            config=config,
            late=update.changes.late,
            revised=update.changes.revised,
            vanished=update.changes.vanished,
            reason=update.reason,
        )
        for entity, update in decided.items()
    )
    return Record(
        version=version,
        made={e: (version, modes[e]) for e in plan.panel.entities},
        parents={e: u.parent for e, u in decided.items()},
        taken=taken,
        ledger=base.table(LEDGER),
        history=inside.history,
        graph=base.graph,
        extra=extra,
    )
