"""Unfinished work: one file per shard under `parts/`, each entity keyed by its fit key.

A part holds one row an entity; its tables with several rows an entity are lists of structs, so that entities
can be picked from parts in any order. Parts outlive a crash: what they hold is never fitted again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from posterity.portfolio.store import atomic

FOLDER = "parts"


@dataclass(frozen=True)
class Part:
    """Tables of one shard: `rows` has one row an entity, `lists` the tables with `counts` rows an entity."""

    rows: pa.Table
    lists: Mapping[str, pa.Table]
    counts: Mapping[str, np.ndarray]


def write(path: Path, part: Part) -> None:
    """Write a part atomically, so that a killed worker leaves a whole part or none."""
    table = part.rows
    for name, rows in part.lists.items():
        offsets = pa.array(np.concatenate([[0], np.cumsum(part.counts[name])]), pa.int32())
        table = table.append_column(
            name, pa.ListArray.from_arrays(offsets, rows.to_struct_array().combine_chunks())
        )
    with atomic(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


class Parts:
    """The parts of a run's folder. Damaged ones are set aside, which means their entities are fitted
    again.

    `lent` are further tables of the same form, from elsewhere; where a fit key is in both, they hold.
    """

    def __init__(self, folder: Path, lent: Iterable[pa.Table] = ()) -> None:
        self.folder = folder / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lent = tuple(lent)

    def place(self, name: str) -> Path:
        """Where the part of that name is written."""
        return self.folder / f"{name}.arrow"

    def tables(self) -> Iterator[pa.Table]:
        """Every whole part, memory-mapped."""
        for path in sorted(self.folder.glob("*.arrow")):
            try:
                with pa.memory_map(str(path)) as source:
                    yield pa.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:
                path.rename(path.with_suffix(".damaged"))
        yield from self.lent

    def done(self) -> set[str]:
        """Fit keys of everything that parts hold."""
        return {key for table in self.tables() for key in table["fit_key"].to_pylist()}

    def ordered(self, keys: Iterable[str]) -> Iterator[pa.Table]:
        """Rows of the parts in the order of these fit keys, in runs that lie together."""
        tables = list(self.tables())
        where = {
            key: (part, row)
            for part, table in enumerate(tables)
            for row, key in enumerate(table["fit_key"].to_pylist())
        }
        run: tuple[int, int, int] | None = None
        for part, row in (where[key] for key in keys):
            if run is not None and run[0] == part and run[2] == row:
                run = (part, run[1], row + 1)
                continue
            if run is not None:
                yield tables[run[0]].slice(run[1], run[2] - run[1])
            run = (part, row, row + 1)
        if run is not None:
            yield tables[run[0]].slice(run[1], run[2] - run[1])


def flattened(table: pa.Table, name: str) -> pa.Table:
    """The rows of a list column as a table, the entity repeated on each."""
    column = table[name].combine_chunks()
    counts = np.diff(column.offsets.to_numpy())
    rows = pa.Table.from_struct_array(column.flatten())
    entity = table["entity"].combine_chunks().take(pa.array(np.repeat(np.arange(len(counts)), counts)))
    return rows.add_column(0, "entity", entity)
