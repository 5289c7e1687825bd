"""A shard: some entities fitted together in one worker, written as one part."""

import os
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from posterity.config.schema import Gates, Inference
from posterity.inference.compiled import CompiledModel, compiled
from posterity.inference.posterior import Failure, Posterior
from posterity.models import Description
from posterity.portfolio import tables
from posterity.portfolio.entity import EntityFit, fit_entity
from posterity.portfolio.parts import Part, write
from posterity.portfolio.plan import Work
from posterity.portfolio.population.pooled import Pooling
from posterity.portfolio.prior import Prior
from posterity.portfolio.tables import Layout


@dataclass(frozen=True)
class Shard:
    """Everything a worker needs; plain and picklable. `part` is where it writes.

    All of its work has one structure: declared, or with the same parameters transferred, and then `priors`
    holds the prior of each by its key; with `pooling` they are fitted under the population they taught.
    """

    name: str
    part: Path
    description: Description
    inference: Inference
    gates: Gates
    layout: Layout
    work: tuple[Work, ...]
    priors: Mapping[str, Prior] = field(default_factory=dict)
    pooling: Pooling | None = None

    @property
    def title(self) -> str:
        """What people read: the first and last entity, and how many."""
        first, last, n = self.work[0].entity, self.work[-1].entity, len(self.work)
        return f"fit {brief(first)}" if n == 1 else f"fit {brief(first)} … {brief(last)} ({n})"


@dataclass(frozen=True, slots=True)
class Report:
    """What a shard did: entities by status and by method, seconds of work, reasons of unexpected failures."""

    name: str
    status: dict[str, int]
    method: dict[str, int]
    seconds: float
    unexpected: tuple[str, ...] = ()


def fit_shard(shard: Shard) -> Report:
    """Fit every entity of a shard and write its part. Runs in a worker; safe to repeat."""
    begin = time.perf_counter()
    model = compiled(shard.description)
    with Marker(shard.part) as marker:
        fits = []
        for i, work in enumerate(shard.work):
            marker.now(i)
            fits.append(
                fit_entity(
                    model,
                    work,
                    shard.description.numbers,
                    shard.inference,
                    shard.gates,
                    shard.layout.intervals,
                    shard.priors.get(work.prior),
                    shard.pooling,
                )
            )
    write(shard.part, part_of(fits, model, shard.layout))
    return report(shard.name, fits, time.perf_counter() - begin)


def part_of(fits: Sequence[EntityFit], model: CompiledModel, layout: Layout) -> Part:
    """The tables of fits."""
    factors = pa.Table.from_pylist([tables.factor_row(f, model) for f in fits], schema=tables.FACTORS)
    rows = tables.entity_rows(fits, layout)
    for name in factors.column_names:
        rows = rows.append_column(f"factor_{name}", factors[name])
    lists, counts = {}, {}
    makers = {
        "parameters": tables.parameter_rows,
        "intervals": tables.interval_rows,
        "draws": tables.draw_rows,
    }
    every = {"elbo": [tables.elbo_rows(f) for f in fits]}
    for name, make in makers.items():
        every[name] = [make(f, model, layout) if isinstance(f.outcome, Posterior) else None for f in fits]
    for name, made in every.items():
        counts[name] = np.array([0 if t is None else t.num_rows for t in made])
        found = [t for t in made if t is not None]
        if found:
            lists[name] = pa.concat_tables(found)
    return Part(rows, lists, {name: counts[name] for name in lists})


def report(name: str, fits: Sequence[EntityFit], seconds: float) -> Report:
    """Counts of what came out."""
    statuses = [f.status for f in fits]
    methods = [f.outcome.method for f in fits if isinstance(f.outcome, Posterior)]
    return Report(
        name,
        {s: statuses.count(s) for s in ("ok", "flagged", "failed")},
        {m: methods.count(m) for m in sorted(set(methods))},
        seconds,
        tuple(f.reason or "" for f in fits if isinstance(f.outcome, Failure) and f.outcome.unexpected),
    )


def brief(entity: str) -> str:
    """An entity's name in 40 characters on one line."""
    line = " ".join(entity.split())
    return line if len(line) <= 40 else f"{line[:39]}…"


def lost(shard: Shard, work: Work, reason: str) -> EntityFit:
    """The outcome of an entity whose worker died."""
    return EntityFit(work, "failed", reason, Failure(reason), 0.0)


class Marker:
    """A tiny file that says which entity of a shard is being fitted, so that a dead worker tells what it
    died of.
    """

    def __init__(self, part: Path) -> None:
        self._path = part.with_suffix(".at")

    def __enter__(self) -> "Marker":
        self._handle = os.open(self._path, os.O_CREAT | os.O_TRUNC | os.O_RDWR)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)
        self._path.unlink(missing_ok=True)

    def now(self, index: int) -> None:
        """Say that the entity at `index` is next."""
        # The page cache outlives the process; only a crash of the machine loses this, and then nothing is
        # suspect.
        os.pwrite(self._handle, struct.pack("<q", index), 0)

    @staticmethod
    def read(part: Path) -> int | None:
        """Index of the entity that was being fitted when a worker died here; None if none was."""
        try:
            content = part.with_suffix(".at").read_bytes()
        except FileNotFoundError:
            return None
        return int(struct.unpack("<q", content)[0]) if len(content) == 8 else None
