"""Shards to the end, whatever happens to the workers.

A worker that dies takes down every shard in flight, and any of the entities being fitted at that moment may
be the reason. Those suspects are set aside, the rest is run again, and each suspect is then tried alone: one
that kills its worker again is `failed`, with the reason; the others are fitted like everybody else.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from posterity.errors import RunnerError
from posterity.inference.compiled import compiled
from posterity.models import Description
from posterity.portfolio.parts import Parts, write
from posterity.portfolio.plan import Plan, Work
from posterity.portfolio.population.pooled import Pooling
from posterity.portfolio.prior import Prior
from posterity.portfolio.runners import Runner, WorkerDied
from posterity.portfolio.shard import Marker, Report, Shard, fit_shard, lost, part_of, report
from posterity.portfolio.tables import Layout

MOST_SHARDS = 400
"""Prefect is comfortable below 500 task runs a flow run."""
LARGEST_SHARD = 250

type Listener = Callable[[Report], None]


@dataclass(frozen=True)
class Dispatch:
    """Fits work of a plan over a runner; parts are what comes of it."""

    plan: Plan
    parts: Parts
    runner: Runner
    workers: int
    listen: Listener = lambda _: None
    priors: Mapping[str, Prior] = field(default_factory=dict)
    pooling: Pooling | None = None

    def fit(self, waiting: Sequence[Work]) -> list[Report]:
        """Fit everything; an entity that kills its worker twice is `failed`.

        Raises RunnerError where workers keep dying without an entity to blame.
        """
        reports: list[Report] = []
        suspects: list[Work] = []
        deaths = 0
        while waiting:
            dead = self._run(self.cut(waiting), reports)
            blamed = [shard.work[at] for shard in dead if (at := Marker.read(shard.part)) is not None]
            suspects += blamed
            guilty = {work.key for work in blamed}
            waiting = [w for shard in dead for w in shard.work if w.key not in guilty]
            deaths = deaths + 1 if dead and not blamed else 0
            if deaths > self.plan.config.execution.retries:
                raise RunnerError(
                    f"workers died {deaths} times before they began an entity; is there memory enough to "
                    f"start {self.workers} of them? Try fewer (--workers 1)"
                )
        for suspect in suspects:
            (shard,) = self.cut([suspect])
            if self._run([shard], reports):
                self._finish(_fallen(shard, suspect), reports)
        return reports

    def cut(self, waiting: Sequence[Work]) -> list[Shard]:
        """Work in shards of one structure: a few per worker so that none waits long for the last, and never
        thousands.
        """
        size = math.ceil(len(waiting) / (8 * max(1, self.workers)))
        size = max(1, min(size, LARGEST_SHARD), math.ceil(len(waiting) / MOST_SHARDS))
        shards = []
        for description, work in by_structure(self.plan.description, waiting, self.priors):
            shards += [self._shard(description, work[i : i + size]) for i in range(0, len(work), size)]
        return shards

    def _shard(self, description: Description, work: Sequence[Work]) -> Shard:
        config = self.plan.config
        name = f"{work[0].key[:12]}-{len(work)}"
        return Shard(
            name=name,
            part=self.parts.place(name),
            description=description,
            inference=config.inference,
            gates=config.gates,
            layout=Layout(config.intervals, self.plan.keep, self.plan.time_type, config.abstain),
            work=tuple(work),
            priors={w.prior: self.priors[w.prior] for w in work if w.prior},
            pooling=self.pooling and self.pooling.only(tuple(w.entity for w in work)),
        )

    def _run(self, shards: Sequence[Shard], reports: list[Report]) -> list[Shard]:
        """Run shards; the ones whose worker died."""
        dead = []
        for shard, outcome in self.runner.run(fit_shard, shards):
            if isinstance(outcome, WorkerDied):
                dead.append(shard)
            else:
                self._finish(outcome, reports)
        return dead

    def _finish(self, outcome: Report, reports: list[Report]) -> None:
        reports.append(outcome)
        self.listen(outcome)


def by_structure(
    declared: Description, work: Iterable[Work], priors: Mapping[str, Prior]
) -> list[tuple[Description, list[Work]]]:
    """Work by the parameters whose prior is transferred and by whether rows have weights, each group with
    the description that fits it.
    """
    groups: dict[tuple[tuple[str, ...], bool], list[Work]] = {}
    for one in work:
        entries = priors[one.prior].entries if one.prior else ()
        groups.setdefault((entries, one.weights is not None), []).append(one)
    found: dict[tuple[tuple[str, ...], bool], tuple[Description, list[Work]]] = {}
    for (entries, weighted), members in groups.items():
        description = declared.with_transfer(owners_of(declared, entries)) if entries else declared
        description = description.with_weights() if weighted else description
        found.setdefault((description.transferred, weighted), (description, []))[1].extend(members)
    return list(found.values())


def owners_of(declared: Description, entries: Iterable[str]) -> tuple[str, ...]:
    """The parameters whose priors create these entries of θ."""
    model = compiled(declared)
    owner = dict(zip(model.unconstrained_names, model.owners, strict=True))
    return tuple(dict.fromkeys(owner[entry] for entry in entries))


def _fallen(shard: Shard, work: Work) -> Report:
    """The outcome of an entity whose worker died twice, as a part like any other."""
    reason = "its worker process died twice while fitting it: out of memory, or a crash in compiled code"
    fit = lost(shard, work, reason)
    write(shard.part, part_of([fit], compiled(shard.description), shard.layout))
    return report(shard.name, [fit], 0.0)
