"""Fit keys by recipe: what a posterior will depend on is known before anything is fitted.

A transferred prior is identified by what it will be made of: the teachers' keys and the settings, its
parent's key, a file's digest. A declared prior is its numbers, so that a portfolio without transfer has the
keys it would have if there were none.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from posterity.config import Config
from posterity.config.transfer import Transfer
from posterity.inference.advi import METHODS
from posterity.lineage import ENGINE_VERSION, digest, fit_key
from posterity.models import Description
from posterity.panel import Panel
from posterity.portfolio.rules import Source, Sources
from posterity.portfolio.waves import generations

JOINT_ONLY = {"pooling", "centered"}
OPTIMISED = {"steps", "minibatch"}
"""Settings of advi and fullrank_advi, joint or not."""


def settings(config: Config, keep: int, *, transferred: bool = False) -> dict[str, Any]:
    """Everything besides model, prior and data that a fit and its tables depend on."""
    joint = config.inference.pooling == "joint"
    unused = set() if joint else JOINT_ONLY | (set() if config.inference.method in METHODS else OPTIMISED)
    return {
        "inference": config.inference.model_dump(mode="json", exclude={"keep", *unused}),
        "keep": keep,
        "gates": config.gates.model_dump(mode="json", exclude=set() if transferred else {"conflict"}),
        "intervals": list(config.intervals),
        # What a configuration does not have is not in the key: keys outlive the versions that bring something
        # new.
        **({} if config.abstain is None else {"abstain": config.abstain.model_dump(mode="json")}),
    }


def keyed(
    config: Config, description: Description, panel: Panel, sources: Sources, keep: int
) -> tuple[dict[str, str], Sources]:
    """The fit key of every entity, and the sources with the keys of parents that are in the panel."""
    data = dict(zip(panel.entities, map(str, panel.digests), strict=True))
    numbers = {name: value.tolist() for name, value in description.numbers.items()}
    plain, learned = settings(config, keep), settings(config, keep, transferred=True)

    def key(entity: str, prior: dict[str, Any], inference: dict[str, Any]) -> str:
        return fit_key(
            model=description.key,
            prior=prior,
            data=data[entity],
            inference=inference,
            engine=ENGINE_VERSION,
        )

    if config.inference.pooling == "joint":
        transfer = (config.transfer or Transfer()).model_dump(mode="json", by_alias=True)
        everyone = digest([transfer, [data[e] for e in panel.entities if e not in panel.reasons]])
        prior = {"declared": numbers, "joint": everyone}
        return {e: key(e, prior, learned) for e in data}, sources
    plain_keys = {e: key(e, numbers, plain) for e in {*sources.teachers, *declared(sources)}}
    population = digest(sorted(plain_keys[entity] for entity in sources.teachers))
    keys: dict[str, str] = {}
    of = dict(sources.of)
    for entity in by_generation(sources.of):
        source = of[entity]
        if source.kind == "declared":
            keys[entity] = plain_keys[entity]
            continue
        if source.kind == "entity":
            source = of[entity] = replace(source, parent=keys[source.name])
        made = recipe(source, config.transfer or Transfer(), population, sources.groups[entity])
        keys[entity] = key(entity, {"declared": numbers, "from": made}, learned)
    return {e: keys[e] for e in panel.entities}, replace(sources, of=of)


def declared(sources: Sources) -> list[str]:
    """Entities that keep their declared prior."""
    return [entity for entity, source in sources.of.items() if source.kind == "declared"]


def recipe(source: Source, transfer: Transfer, population: str, group: tuple[str, ...]) -> dict[str, Any]:
    """What a transferred prior is made of; `population` is a digest of the teachers' keys."""
    pool = transfer.pool.model_dump(mode="json", exclude={"shrink"})
    taught = {"teachers": population, "group": list(group), "pool": pool}
    carried = {"robust": transfer.robust, "max_prior_rows": transfer.max_prior_rows}
    if source.kind == "population":
        return {"kind": source.kind, **taught, **carried}
    return {
        "kind": source.kind,
        # Another run of the source with the same posterior makes the same prior.
        "digest": "" if source.parent else source.digest,
        "parent": source.parent,
        "discount": source.discount,
        "match": dict(source.match),
        "independent": sorted(transfer.pool.independent),
        # A parent may turn out to have no posterior only when it is fitted.
        "fallback": taught if source.kind == "entity" and source.fallback == "population" else None,
        **carried,
    }


def by_generation(of: Mapping[str, Source]) -> list[str]:
    """Parents before their children."""
    depth = generations({e: s.name for e, s in of.items() if s.kind == "entity"})
    return sorted(of, key=lambda entity: depth.get(entity, 0))
