"""The first map: what every established entity says about the population, shard by shard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from posterity.config import PriorSpec
from posterity.errors import RunnerError
from posterity.inference.compiled import CompiledModel, Inputs, compiled
from posterity.inference.mode import Mode
from posterity.models import Description
from posterity.portfolio.population.conditional import Conditional, Entries
from posterity.portfolio.population.factors import Factor, expand, first_mode, match_moments, next_mode
from posterity.portfolio.runners import Runner, WorkerDied

type Floats = NDArray[np.float64]

SMALLEST_CHUNK = 250
CERTAIN = 1e14
"""Precision, with the declared prior's as 1, beyond which a factor is no measurement."""
MOST_CHUNKS = 8
"""Entities are cut by their number alone, so that the number of workers changes no digit."""


@dataclass(frozen=True)
class Teacher:
    """An established entity: its inputs hold the flat mixture."""

    entity: str
    key: str
    group: str
    inputs: Inputs
    rows: int


@dataclass(frozen=True)
class Setting:
    """What is learned and under which priors: declared moments (D,) and starts (K, D) on the unconstrained
    scale, inputs that hold the declared priors' numbers, priors of spreads by entry of θ, the rule for the
    covariance (auto, full or diagonal).
    """

    description: Description
    entries: Entries
    mean: Floats
    sd: Floats
    starts: Floats
    inputs: Inputs
    spread: Mapping[int, PriorSpec]
    covariance: str = "auto"
    seed: int = 0

    @property
    def model(self) -> CompiledModel:
        """The transferred structure, compiled once in a process."""
        return compiled(self.description)


@dataclass(frozen=True)
class State:
    """Where a sweep stands: a population as a point, in raw coordinates."""

    entries: Entries
    means: Floats  # (G, p)
    precision: Floats  # (p, p)
    shared: Floats  # (k,)
    steps: Floats  # (k,)
    psi: Floats | None = None


@dataclass(frozen=True)
class Chunk:
    """Some teachers with their group's number and their factors of the sweep before; picklable."""

    setting: Setting
    state: State
    teachers: tuple[Teacher, ...]
    groups: tuple[int, ...]
    before: Mapping[str, Factor]
    moments: bool

    @property
    def title(self) -> str:
        """What people read."""
        return f"expand {self.teachers[0].entity} … {self.teachers[-1].entity} ({len(self.teachers)})"


def expand_all(
    setting: Setting,
    state: State,
    teachers: Sequence[Teacher],
    index: Mapping[str, int],
    before: Mapping[str, Factor],
    *,
    moments: bool,
    runner: Runner | None = None,
) -> dict[str, Factor]:
    """Every entity's factor under the current population; entities without a mode are left out.

    Raises RunnerError where a worker dies twice over the same entities.
    """
    size = max(SMALLEST_CHUNK, ceil(len(teachers) / MOST_CHUNKS))
    chunks = []
    for i in range(0, len(teachers), size):
        some = tuple(teachers[i : i + size])
        known = {t.entity: before[t.entity] for t in some if t.entity in before}
        groups = tuple(index[t.entity] for t in some)
        chunks.append(Chunk(setting, state, some, groups, known, moments))
    if runner is None or len(chunks) == 1:
        found = [expand_chunk(chunk) for chunk in chunks]
    else:
        found = _mapped(runner, chunks)
    return {entity: factor for part in found for entity, factor in part.items()}


def _mapped(runner: Runner, chunks: Sequence[Chunk]) -> list[dict[str, Factor]]:
    """Chunks over the workers, in their order; those of a worker that died once more."""
    found: dict[int, dict[str, Factor]] = {}
    place = {id(chunk): i for i, chunk in enumerate(chunks)}
    for _ in range(2):
        waiting = [chunk for chunk in chunks if place[id(chunk)] not in found]
        for chunk, outcome in runner.run(expand_chunk, waiting) if waiting else ():
            if not isinstance(outcome, WorkerDied):
                found[place[id(chunk)]] = outcome
    if len(found) < len(chunks):
        raise RunnerError(
            "workers died twice while a population was learned; is there memory enough? "
            "Try fewer (--workers 1)"
        )
    return [found[i] for i in range(len(chunks))]


def expand_chunk(chunk: Chunk) -> dict[str, Factor]:
    """The factors of a chunk's entities."""
    setting, state = chunk.setting, chunk.state
    model = setting.model
    starts = setting.starts[:, state.entries.free]
    found: dict[str, Factor] = {}
    for teacher, group in zip(chunk.teachers, chunk.groups, strict=True):
        centre = state.means[group]
        target = Conditional(model, state.entries, state.shared, centre, state.precision)
        known = chunk.before.get(teacher.entity)
        if known is None:
            mode = first_mode(target, teacher.inputs, starts)
            if mode is not None:
                # The last one's mode is a good guess for the next.
                starts = np.concatenate([setting.starts[:, state.entries.free], mode.theta[None]])
        elif state.psi is not None:
            mode = next_mode(target, teacher.inputs, [known.mode])
        else:
            # The first population may show an entity that it climbed the wrong hill.
            was = _narrowed(setting, known.mode)
            usual = np.concatenate([centre, was[len(centre) :]])
            mode = next_mode(target, teacher.inputs, [was, usual])
        factor = None if mode is None else _factor(chunk, target, teacher, mode)
        if factor is not None:
            found[teacher.entity] = factor
    return found


def _factor(chunk: Chunk, target: Conditional, teacher: Teacher, mode: Mode) -> Factor | None:
    """A teacher's factor; None where it claims to know a parameter without error, as rows without any scatter
    make it: the density has no bound there, and such a teacher would overrule all others.
    """
    setting, steps = chunk.setting, chunk.state.steps
    try:
        factor = expand(target, teacher.inputs, mode, steps)
        if chunk.moments:
            # The same noise at every sweep, so that factors stand still when the population does.
            seed = np.random.SeedSequence([setting.seed, int(teacher.key[:8] or "0", 16)])
            rng = np.random.default_rng(seed)
            factor = match_moments(target, teacher.inputs, mode, factor, steps, rng)
    except np.linalg.LinAlgError:
        return None
    sd = setting.sd[target.entries.partial]
    p = len(sd)
    precision = factor.coefficients[:, 1 + p :].reshape(-1, p, p) * sd[:, None] * sd
    certain = not np.isfinite(factor.coefficients).all() or np.abs(precision).max() > CERTAIN
    return None if certain else factor


def _narrowed(setting: Setting, mode: Floats) -> Floats:
    """A mode of the first sweep, where shared entries varied, without them."""
    if len(mode) == len(setting.entries.free):
        return mode
    transferred = setting.entries.transferred
    kept = np.isin(transferred, setting.entries.partial)
    return np.concatenate([mode[: len(transferred)][kept], mode[len(transferred) :]])
