"""What is inside the posteriors of a result: the rows themselves, their digests by chunk, and every entity's
history of updates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posterity.panel import Panel
from posterity.panel.chunks import Clock, spans
from posterity.panel.digests import entity_digests

ROWS, LEDGER, HISTORY = "rows.parquet", "ledger.parquet", "history.parquet"


def rows_table(panel: Panel) -> pa.Table:
    """The rows themselves, by entity and time: the entity columns, `entity`, time, inputs and target."""
    names = pa.array(np.repeat(np.array(panel.entities, object), panel.counts), pa.string())
    columns = {name: panel.table.column(name) for name in panel.table.column_names if name != "entity"}
    own = [name for name in panel.entity_columns if name != "entity"]
    order = [*own, "entity", *(name for name in columns if name not in own)]
    return pa.table({name: names if name == "entity" else columns[name] for name in order})


def ledger_table(panel: Panel, cut: Clock | None, version: int, before: pa.Table | None = None) -> pa.Table:
    """One row an entity and chunk: its first and last time, number of rows, their digest, and the version
    that took the last of them in. `before` is the ledger of the version before.
    """
    entity, chunk, bounds = spans(panel, cut)
    digests = entity_digests(
        panel.arrays,
        entity_columns=panel.entity_columns,
        keys=[(*panel.entity_values(panel.entities[e]), str(c)) for e, c in zip(entity, chunk, strict=True)],
        time=panel.time,
        target=panel.target,
        inputs=panel.inputs,
        dated=panel.dated,
        offsets=bounds,
    )
    times = pa.nulls(panel.n_rows) if panel.time is None else panel.table.column(panel.time)
    table = pa.table(
        {
            "entity": pa.array(np.array(panel.entities, object)[entity], pa.string()),
            "chunk": pa.array(chunk, pa.int64()),
            "first_time": times.take(pa.array(bounds[:-1])),
            "last_time": times.take(pa.array(bounds[1:] - 1)),
            "n_rows": pa.array(np.diff(bounds), pa.int64()),
            "digest": pa.array(digests.tolist(), pa.string()),
        }
    )
    known = pa.nulls(len(table), pa.int64())
    if before is not None and len(table):
        # A digest covers entity and chunk as well, so it alone tells which rows were inside already.
        where = pc.index_in(table["digest"], before["digest"].combine_chunks())
        known = before["version"].take(where)
    return table.append_column("version", pc.fill_null(known, version))


@dataclass(frozen=True, slots=True)
class Taken:
    """One update of an entity's posterior, a row of its history.

    `update` is how: fit, exact, carry, reweight, or reset where an audit put the exact posterior in place of
    another. `new_rows` were taken in, of which `late` came after their time; `revised` rows have other
    values than before and `vanished` ones are no longer there. `shift` (in posterior sds) and `ratio` (of
    sds, the worst of all parameters) are what an audit found. `config` is the configuration's digest.
    """

    entity: str
    version: int
    update: str
    fit_key: str | None
    parent_fit_key: str | None
    n_rows: int
    new_rows: int
    first_time: Any
    last_time: Any
    config: str
    late: int = 0
    revised: int = 0
    vanished: int = 0
    shift: float | None = None
    ratio: float | None = None
    reason: str | None = None


def history_table(taken: Sequence[Taken], time: pa.DataType, before: pa.Table | None = None) -> pa.Table:
    """One row an entity and update, sorted by entity and version. `before` is the history so far; `time` is
    the type of time.
    """
    kinds: Mapping[str, pa.DataType] = {
        **dict.fromkeys(("entity", "update", "fit_key", "parent_fit_key", "config", "reason"), pa.string()),
        **dict.fromkeys(("first_time", "last_time"), time),
        **dict.fromkeys(("shift", "ratio"), pa.float64()),
    }
    names = [field.name for field in fields(Taken)]
    schema = pa.schema([(name, kinds.get(name, pa.int64())) for name in names])
    columns = {name: pa.array([getattr(t, name) for t in taken], schema.field(name).type) for name in names}
    table = pa.table(columns, schema=schema)
    if before is not None:
        table = pa.concat_tables([before.cast(schema), table])
    return table.sort_by([("entity", "ascending"), ("version", "ascending")])
