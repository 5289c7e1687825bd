"""Waves: which entities can be fitted at the same time, and what has to be there before.

Established entities come first, then those that learn from their population or from outside, then children of
other entities, generation by generation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from posterity.errors import ConfigError
from posterity.panel.findings import listing, nearest
from posterity.portfolio.rules import Source, Sources

type Kind = Literal["fit", "pooled", "joint"]


@dataclass(frozen=True)
class Wave:
    """Entities that are fitted together.

    `kind` says how: each with a prior that is known before (fit), each under the population that they
    themselves teach (pooled), or all in one model (joint).
    """

    name: str
    entities: tuple[str, ...]
    needs_population: bool = False
    kind: Kind = "fit"


def in_waves(sources: Sources, fittable: Iterable[str]) -> tuple[Wave, ...]:
    """Everybody who can be fitted, in waves; empty ones are left out."""
    entities = tuple(fittable)
    if all(sources.of[e].kind == "declared" for e in entities):
        return (Wave("declared", entities),) if entities else ()
    teachers = set(sources.teachers)
    depth = generations({e: sources.of[e].name for e in entities if sources.of[e].kind == "entity"})
    first = tuple(e for e in entities if e in teachers)
    rest = tuple(e for e in entities if e not in teachers and e not in depth)
    pooled = tuple(e for e in first if e in sources.pooled)
    waves = [Wave("established", tuple(e for e in first if e not in sources.pooled))]
    waves.append(Wave("pooled", pooled, needs_population=True, kind="pooled"))
    waves.append(Wave("new", rest, any(sources.of[e].kind == "population" for e in rest)))
    for level in range(1, max(depth.values(), default=0) + 1):
        name = "children" if level == 1 else f"children {level}"
        waves.append(Wave(name, tuple(e for e in entities if depth.get(e) == level)))
    return tuple(wave for wave in waves if wave.entities)


def generations(parents: Mapping[str, str]) -> dict[str, int]:
    """How many parents of parents each child has: 1 for children of entities that have none.

    Raises ConfigError for children that descend from themselves, every circle named in full.
    """
    depth: dict[str, int] = {}
    circles: list[list[str]] = []
    for child in parents:
        way: dict[str, int] = {}
        while child in parents and child not in depth and child not in way:
            way[child] = len(way)
            child = parents[child]
        if child in way:
            circles.append([*list(way)[way[child] :], child])
        below = depth.get(child, 0)
        for above, entity in enumerate(reversed(way), start=1):
            depth[entity] = below + above
    if circles:
        raise ConfigError(
            f"transfer.rules: entities learn from each other in a circle: {' → '.join(circle)}; let one of "
            "them learn from the population, or keep its declared prior"
            for circle in circles[:20]
        )
    return depth


def check_parents(of: Mapping[str, Source], panel: Iterable[str]) -> None:
    """Raise ConfigError for parents that are not among the entities; `panel` has those left out by choice."""
    everybody = list(panel)
    problems = {}
    for source in of.values():
        if source.kind == "entity" and source.name not in of:
            where = f"transfer.rules[{source.rule}].from.entity"
            if source.name in set(everybody):
                text = f"{source.name!r} is not among the chosen entities; choose it as well, as it teaches"
            else:
                known = f"the panel has {len(everybody):,} entities, such as {listing(everybody[:3])}"
                text = f"no entity {source.name!r}; {known}{nearest(source.name, everybody)}"
            problems[where, source.name] = f"{where}: {text}"
    if problems:
        raise ConfigError(problems.values())
