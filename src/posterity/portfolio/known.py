"""Fits that are there already: a new run of a portfolio takes them over from its finished results.

An entity whose fit key a result under `runs/NAME` holds has the same model, prior, rows and settings, so its
posterior is written into this run's parts as it is. What is fitted again is what changed: an entity with
other rows, or one whose parent in another portfolio has another posterior. A run into a folder elsewhere
takes nothing over, so that it can be compared with others.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from posterity.errors import PosterityError
from posterity.portfolio.learning import FILE, population_key
from posterity.portfolio.manifest import RUNS
from posterity.portfolio.newest import finished_in
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan
from posterity.portfolio.refit.lent import lent
from posterity.portfolio.resolved import Resolved
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.store import atomic

MOST = 20
"""Finished results that are looked through, newest first."""

ENDING = "known"


@dataclass(frozen=True)
class Known:
    """Entities whose posteriors earlier results hold: the result of each, and their statuses."""

    of: Mapping[str, Result] = field(default_factory=dict)
    status: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Entities by status."""
        return dict(Counter(self.status.values()))

    def without(self, entities: Sequence[str]) -> "Known":
        """The same but for some entities."""
        gone = set(entities)
        return Known(
            {e: r for e, r in self.of.items() if e not in gone},
            {e: s for e, s in self.status.items() if e not in gone},
        )


def known(plan: Plan) -> Known:
    """Everything of a plan that finished results of its portfolio hold. Failed fits are tried again, and
    results that cannot be read are passed over.
    """
    of: dict[str, Result] = {}
    status: dict[str, str] = {}
    wanted = set(plan.fittable)
    for folder in finished_in(RUNS / plan.config.name)[:MOST]:
        if len(of) == len(wanted):
            break
        result = open_result(folder)
        try:
            table = result.table("entities.parquet").select(["entity", "fit_key", "status"])
        except PosterityError:
            continue
        for row in table.to_pylist():
            entity = row["entity"]
            same = entity in wanted and entity not in of and row["fit_key"] == plan.keys[entity]
            if same and row["status"] != "failed":
                of[entity], status[entity] = result, row["status"]
    if plan.config.inference.pooling == "joint" and len(of) < len(wanted):
        return Known()  # one model of all: nobody's posterior is there without the others'
    return Known(of, status)


def take_over(parts: Parts, found: Known, resolved: Resolved, entities: Sequence[str]) -> list[str]:
    """Write the posteriors of some known entities as parts; `resolved` says which priors they had. Returns
    the entities whose result turns out to be damaged: they are to be fitted.
    """
    damaged: list[str] = []
    by_result: dict[Path, list[str]] = {}
    for entity in entities:
        by_result.setdefault(found.of[entity].path, []).append(entity)
    for own in by_result.values():
        try:
            table = lent(found.of[own[0]], own, {})
        except PosterityError:
            damaged += own
            continue
        keys = [resolved.of.get(e) or None for e in table["entity"].to_pylist()]
        labels = [None if key is None else resolved.priors[key].source for key in keys]
        for name, values in (("prior_key", keys), ("prior", labels)):
            column = table.column_names.index(name)
            table = table.set_column(column, name, pa.array(values, pa.string()))
        place = parts.place(f"{table['fit_key'][0].as_py()[:12]}-{len(own)}-{ENDING}")
        with atomic(place) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    return damaged


def bring_population(plan: Plan, parts: Parts, found: Known) -> None:
    """The population that the known fits learned from where it is this plan's: none is learned again."""
    for result in {r.path: r for r in found.of.values()}.values():
        if (parts.folder / FILE).exists() or not result.has(FILE):
            continue
        with suppress(PosterityError):
            text = result.text(FILE)
            if json.loads(text).get("key") == population_key(plan):
                with atomic(parts.folder / FILE) as file:
                    file.write(text.encode())
