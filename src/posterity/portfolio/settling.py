"""Sources that hold: outside ones opened, parents found, a fallback where a source has nothing to give."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from posterity.config import Config
from posterity.models import Description
from posterity.panel import Panel
from posterity.panel.findings import listing
from posterity.portfolio.origins import Origins, where
from posterity.portfolio.rules import TEACHERS, Source, Sources, assign, jointly, without_population
from posterity.portfolio.waves import check_parents, generations


def sources_for(
    config: Config,
    description: Description,
    panel: Panel,
    everybody: Iterable[str],
    known: Mapping[str, Source] | None = None,
) -> Sources:
    """Where the prior of every entity comes from; `everybody` names the entities of the whole panel, and
    `known` has the source of those about whom nothing is to be decided.

    Raises ConfigError for parents that are not there, circles, and files and results that cannot be used.
    """
    rows = dict(zip(panel.entities, panel.counts.tolist(), strict=True))
    columns = () if config.transfer is None else config.transfer.pool.within
    places = [panel.entity_columns.index(column) for column in columns]
    groups = {e: tuple(panel.entity_values(e)[i] for i in places) for e in panel.entities} if places else {}
    groups = groups or dict.fromkeys(rows, ())
    if config.inference.pooling == "joint":
        return jointly(config.transfer, rows, groups)
    chosen = assign(config.transfer, rows, groups, panel.reasons)
    if known:
        chosen = replace(chosen, of={**chosen.of, **known}, notices=())
    check_parents(chosen.of, everybody)
    generations({e: s.name for e, s in chosen.of.items() if s.kind == "entity"})
    settled = settle(chosen, Origins.of(description, config.name, panel), panel.reasons)
    return settled if len(settled.teachers) >= TEACHERS else without_population(settled)


def settle(sources: Sources, origins: Origins, reasons: Mapping[str, str]) -> Sources:
    """Every source opened; those that have nothing for an entity give way to its fallback, with a note."""
    of, notes = dict(sources.of), dict(sources.notes)
    lost: dict[tuple[str, str, str], list[str]] = {}
    population = len(sources.teachers) >= TEACHERS
    for entity, source in sources.of.items():
        if source.kind == "entity":
            failed = reasons.get(source.name)
            found = source if failed is None else f"its parent {source.name!r} cannot be fitted"
        else:
            found = origins.find(entity, source)
        if isinstance(found, str):
            of[entity] = source.instead(sources.groups[entity], population)
            notes[entity] = f"{of[entity].label} instead of {source.label}: {found}"
            lost.setdefault((where(source), of[entity].kind, found), []).append(entity)
        else:
            of[entity] = found
    notices = [
        f"{place}: {listing(who, 3)} {'have' if len(who) > 1 else 'has'} the {kind} prior instead: {why}"
        for (place, kind, why), who in lost.items()
    ]
    return replace(sources, of=of, notes=notes, notices=(*sources.notices, *notices))
