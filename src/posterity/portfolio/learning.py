"""The population of a plan: learned once, kept beside the parts, found there by a run that goes on."""

import json
from collections.abc import Sequence
from pathlib import Path

from posterity.config.transfer import Transfer
from posterity.lineage import digest
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan
from posterity.portfolio.population import Learned, Population, Setting, Teacher, learn
from posterity.portfolio.population.pooled import Pooling
from posterity.portfolio.population.prepare import likelihood_inputs, setting
from posterity.portfolio.runners import Runner
from posterity.portfolio.store import atomic

FILE = "population.json"


def label(group: Sequence[str]) -> str:
    """A group's name: the values of the columns of `pool.within`."""
    return " / ".join(map(str, group))


def groups_of(plan: Plan) -> dict[str, str]:
    """The group of every entity, "" where there is one population."""
    return {entity: label(plan.learning.groups.get(entity, ())) for entity in plan.panel.entities}


def population_setting(plan: Plan) -> Setting:
    """How the population of a plan is learned."""
    return setting(plan.config, plan.description, plan.panel.rows(plan.fittable[0]))


def learned(plan: Plan, parts: Parts, runner: Runner | None = None) -> tuple[Learned, Setting]:
    """Learn the population of a plan and keep it beside its parts.

    Raises PosterityError where too few established entities have anything to teach.
    """
    how, groups = population_setting(plan), groups_of(plan)
    teachers = [
        Teacher(
            work.entity,
            work.key,
            groups[work.entity],
            likelihood_inputs(how.model, work.rows, plan.description.numbers),
            work.rows.n,
        )
        for work in plan.work(plan.teachers)
    ]
    found = learn(how, teachers, runner)
    content = {"key": population_key(plan), **found.population.to_dict()}
    with atomic(parts.folder / FILE) as file:
        file.write(json.dumps(content).encode())
    return found, how


def population(plan: Plan, parts: Parts, runner: Runner | None = None) -> Population:
    """The population of a plan, from beside its parts where it was learned before."""
    path: Path = parts.folder / FILE
    if path.exists():
        content = json.loads(path.read_bytes())
        if content.get("key") == population_key(plan):
            return Population.from_dict(content)
    return learned(plan, parts, runner)[0].population


def pooling(plan: Plan, parts: Parts, runner: Runner | None = None) -> Pooling:
    """A population with what its teachers' own posteriors take."""
    found, how = learned(plan, parts, runner)
    return Pooling(found.population, how.entries, found.origin, found.factors, groups_of(plan))


def population_key(plan: Plan) -> str:
    """Digest of what a population is learned from."""
    pool = (plan.config.transfer or Transfer()).pool.model_dump(mode="json")
    return digest([sorted(plan.keys[e] for e in plan.teachers), pool, plan.config.inference.seed])
