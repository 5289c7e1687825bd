"""Running a plan's shards to the end, whatever happens to the workers.

A worker that dies takes down every shard in flight, and any of the entities being fitted at that moment may
be the reason. Those suspects are set aside, the rest is run again, and each suspect is then tried alone: one
that kills its worker again is `failed`, with the reason; the others are fitted like everybody else.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from posterity.errors import RunnerError
from posterity.inference.compiled import compiled
from posterity.portfolio.parts import Parts, write
from posterity.portfolio.plan import Plan, Work
from posterity.portfolio.runners import Runner, WorkerDied
from posterity.portfolio.shard import Marker, Report, Shard, lost, part_of, report
from posterity.portfolio.tables import Layout

MOST_SHARDS = 400
"""Prefect is comfortable below 500 task runs a flow run."""
LARGEST_SHARD = 250

type Listener = Callable[[Report], None]


@dataclass(frozen=True)
class Executed:
    """What a run did: entities found in parts already, reports of the rest."""

    resumed: int
    reports: tuple[Report, ...]


def execute(
    plan: Plan, folder: Path, runner: Runner, workers: int, listen: Listener = lambda _: None
) -> Executed:
    """Fit everything of a plan that the parts in `folder` do not hold yet.

    Raises RunnerError where workers keep dying without an entity to blame, and where every entity failed with
    an exception.
    """
    parts = Parts(folder)
    done = parts.done()
    waiting = tuple(work for work in plan.work() if work.key not in done)
    resumed = len(plan.fittable) - len(waiting)
    reports: list[Report] = []
    suspects: list[Work] = []
    deaths = 0

    def finished(outcome: Report) -> None:
        reports.append(outcome)
        listen(outcome)

    while waiting:
        dead = _run(runner, cut(plan, parts, waiting, workers), finished)
        blamed = [shard.work[at] for shard in dead if (at := Marker.read(shard.part)) is not None]
        suspects += blamed
        guilty = {work.key for work in blamed}
        again = tuple(w for shard in dead for w in shard.work if w.key not in guilty)
        deaths = deaths + 1 if dead and not blamed else 0
        if deaths > plan.config.execution.retries:
            raise RunnerError(
                f"workers died {deaths} times before they began an entity; is there memory enough to start "
                f"{workers} of them? Try fewer (--workers 1)"
            )
        waiting = again
    for suspect in suspects:
        shard = _shard(plan, parts, (suspect,))
        if _run(runner, [shard], finished):
            reason = (
                "its worker process died twice while fitting it: out of memory, or a crash in compiled code"
            )
            fit = lost(shard, suspect, reason)
            write(shard.part, part_of([fit], compiled(plan.description), shard.layout))
            finished(report(shard.name, [fit], 0.0))
    _refuse_bugs(reports, resumed, parts)
    return Executed(resumed, tuple(reports))


def _refuse_bugs(reports: Sequence[Report], resumed: int, parts: Parts) -> None:
    """Raise where no entity came through and unexpected exceptions say why: code is broken, not the data.

    The parts go, so that the same command fits again once the code is mended.
    """
    reasons = [reason for report in reports for reason in report.unexpected]
    if reasons and not resumed and len(reasons) == sum(sum(r.status.values()) for r in reports):
        for report in reports:
            parts.place(report.name).unlink(missing_ok=True)
        raise RunnerError(
            f"all {len(reasons):,} entities failed with exceptions that nobody planned for, the first: "
            f"{reasons[0]}. This is a fault of the model's own code or of Posterity; nothing was published"
        )


def cut(plan: Plan, parts: Parts, waiting: Sequence[Work], workers: int) -> list[Shard]:
    """Work in shards: a few per worker so that none waits long for the last, and never thousands."""
    size = math.ceil(len(waiting) / (8 * max(1, workers)))
    size = max(1, min(size, LARGEST_SHARD), math.ceil(len(waiting) / MOST_SHARDS))
    return [_shard(plan, parts, tuple(waiting[i : i + size])) for i in range(0, len(waiting), size)]


def _shard(plan: Plan, parts: Parts, work: tuple[Work, ...]) -> Shard:
    config = plan.config
    layout = Layout(config.intervals, plan.keep, plan.time_type)
    name = f"{work[0].key[:12]}-{len(work)}"
    return Shard(name, parts.place(name), plan.description, config.inference, config.gates, layout, work)


def _run(runner: Runner, shards: Sequence[Shard], finished: Listener) -> list[Shard]:
    """Run shards; the ones whose worker died."""
    dead = []
    for shard, outcome in runner.run(shards):
        if isinstance(outcome, WorkerDied):
            dead.append(shard)
        else:
            finished(outcome)
    return dead
