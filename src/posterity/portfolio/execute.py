"""A plan's waves, one after another, until every entity has its outcome in a part.

Everything a wave needs of the ones before lies in parts, so a run that was killed goes on at any point: a
wave whose entities are all there is passed over.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from posterity.errors import PosterityError, RunnerError
from posterity.portfolio import resolved as resolutions
from posterity.portfolio.dispatch import Dispatch, Listener
from posterity.portfolio.learning import pooling
from posterity.portfolio.newest import beside
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan
from posterity.portfolio.population.pooled import Pooling
from posterity.portfolio.resolved import Resolved
from posterity.portfolio.runners import Runner
from posterity.portfolio.shard import Report
from posterity.portfolio.waves import Wave

if TYPE_CHECKING:
    from posterity.portfolio.known import Known


@dataclass(frozen=True)
class Stage:
    """What became of a wave: entities found in parts already, the others by status, seconds of wall time."""

    name: str
    entities: int
    resumed: int
    status: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Executed:
    """What a run did: entities found in parts already, reports of the rest, and both by wave. `known` are
    those taken over from earlier results, by status.
    """

    resumed: int
    reports: tuple[Report, ...]
    stages: tuple[Stage, ...] = ()
    known: Mapping[str, int] = field(default_factory=dict)


def execute(
    plan: Plan, folder: Path, runner: Runner, workers: int, listen: Listener = lambda _: None
) -> Executed:
    """Fit everything of a plan that the parts in `folder` do not hold yet.

    Raises RunnerError where workers keep dying without an entity to blame, and where every entity failed with
    an exception.
    """
    parts = Parts(folder)
    known = take_known(plan, folder, parts, runner)
    if plan.config.inference.pooling == "joint":
        from posterity.portfolio.joint import fit_joint

        together = fit_joint(plan, folder, listen)
        return replace(together, resumed=0, known=known.counts) if known.of else together
    reports: list[Report] = []
    stages = []
    for wave in plan.waves:
        begin = time.perf_counter()
        done = parts.done()
        waiting = tuple(e for e in wave.entities if plan.keys[e] not in done)
        if waiting:
            found = fit_wave(replace(wave, entities=waiting), plan, parts, runner, workers, listen)
        else:
            found = []
        reports += found
        taken = sum(e in known.of for e in wave.entities)
        resumed = len(wave.entities) - len(waiting) - taken
        stage = stage_of(wave.name, wave.entities, resumed, found, time.perf_counter() - begin)
        stages.append(replace(stage, status=stage.status | ({"unchanged": taken} if taken else {})))
        _refuse_bugs(reports, len(known.of) + sum(stage.resumed for stage in stages), parts)
    return Executed(sum(stage.resumed for stage in stages), tuple(reports), tuple(stages), known.counts)


def take_known(plan: Plan, folder: Path, parts: Parts, runner: Runner) -> "Known":
    """Write what finished results of this portfolio hold already into the parts, wave by wave, with its
    priors.
    """
    from posterity.portfolio import known

    if not beside(folder, plan.config.name):
        return known.Known()
    found = known.known(plan)
    done = parts.done()
    found = found.without([e for e in found.of if plan.keys[e] in done])
    if found.of:
        known.bring_population(plan, parts, found)
    for wave in plan.waves:
        own = tuple(e for e in wave.entities if e in found.of)
        if own:
            priors = resolve(plan, replace(wave, entities=own), parts, runner)
            found = found.without(known.take_over(parts, found, priors, own))
    return found


def fit_wave(
    wave: Wave, plan: Plan, parts: Parts, runner: Runner, workers: int, listen: Listener
) -> Sequence[Report]:
    """Fit what is left of a wave."""
    # A population is learned once: where it teaches its own teachers, their factors come along.
    pooled = _pooling(plan, parts, runner) if wave.kind == "pooled" else None
    found = resolve(plan, wave, parts, runner)
    work = [replace(w, prior=found.of.get(w.entity, "")) for w in plan.work(wave.entities)]
    return Dispatch(plan, parts, runner, workers, listen, found.priors, pooled).fit(work)


def _pooling(plan: Plan, parts: Parts, runner: Runner) -> Pooling | None:
    """The population with its teachers' factors; None where it cannot be learned, and priors fall back."""
    try:
        return pooling(plan, parts, runner)
    except PosterityError:
        return None


def resolve(plan: Plan, wave: Wave, parts: Parts, runner: Runner) -> Resolved:
    """The priors of a wave, kept beside its parts; nothing where all of them are declared."""
    if all(plan.sources[entity].kind == "declared" for entity in wave.entities):
        return Resolved()
    from posterity.portfolio import transfer

    found = transfer.resolve(plan, wave, parts, runner)
    # By its first entity: what is left of a wave has another first one, and both files count.
    resolutions.save(parts.folder, plan.keys[wave.entities[0]][:12], found)
    return found


def stage_of(
    name: str, entities: Sequence[object], resumed: int, reports: Sequence[Report], seconds: float
) -> Stage:
    """What became of these entities."""
    status = {s: sum(r.status.get(s, 0) for r in reports) for s in ("ok", "flagged", "failed")}
    return Stage(name, len(entities), resumed, status, seconds)


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
