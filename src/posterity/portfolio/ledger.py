"""What is inside the posteriors of a result: the rows themselves, their digests by chunk, and every entity's
history of updates.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

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


def ledger_table(
    panel: Panel,
    cut: Clock | None,
    version: int,
    before: pa.Table | None = None,
    appended: Collection[str] = (),
) -> pa.Table:
    """One row an entity and chunk: its first and last time, number of rows, their digest, and the version
    that took the last of them in.

    `before` is the ledger of the version before; entities in `appended` have no other change since than
    further rows, so that their chunks of the same number of rows are taken over without a look at the rows.
    """
    entity, chunk, bounds = spans(panel, cut)
    counts = np.diff(bounds)
    known = np.full(len(counts), -1)
    if before is not None and appended:
        same = set(appended)
        lasting = np.array([e in same for e in panel.entities], bool)
        known = np.where(lasting[entity], _same(panel, entity, chunk, counts, before), -1)
    digests = np.full(len(counts), None, object)
    digests[known < 0] = _digests(panel, entity, chunk, counts, known < 0)
    taken = pa.array(known, mask=known < 0)
    times = pa.nulls(panel.n_rows) if panel.time is None else panel.table.column(panel.time)
    names = pa.array(np.array(panel.entities, object)[entity], pa.string())
    fresh = pa.array(digests, pa.string())
    table = pa.table(
        {
            "entity": names,
            "chunk": pa.array(chunk, pa.int64()),
            "first_time": times.take(pa.array(bounds[:-1])),
            "last_time": times.take(pa.array(bounds[1:] - 1)),
            "n_rows": pa.array(counts, pa.int64()),
            "digest": fresh if before is None else pc.coalesce(before["digest"].take(taken), fresh),
        }
    )
    versions = pa.nulls(len(table), pa.int64())
    if before is not None and len(table):
        # A digest covers entity and chunk as well, so it alone tells which rows were inside already.
        versions = before["version"].take(pc.index_in(table["digest"], before["digest"].combine_chunks()))
    return table.append_column("version", pc.fill_null(versions, version))


def _same(
    panel: Panel,
    entity: NDArray[np.int64],
    chunk: NDArray[np.int64],
    counts: NDArray[np.int64],
    before: pa.Table,
) -> NDArray[np.int64]:
    """Rows (k,) of the ledger before that have entity, chunk and number of rows in common; -1 where none."""
    codes = pc.index_in(before["entity"], pa.array(panel.entities, pa.string())).fill_null(-1).to_numpy()
    theirs = np.stack([codes, before["chunk"].to_numpy(), before["n_rows"].to_numpy()])
    both = np.concatenate([theirs, np.stack([entity, chunk, counts])], axis=1)
    both -= both.min(axis=1, keepdims=True)
    # One number for the three of them.
    one = np.ravel_multi_index(tuple(both), tuple(both.max(axis=1) + 1))
    where = pc.index_in(pa.array(one[theirs.shape[1] :]), pa.array(one[: theirs.shape[1]]))
    return np.asarray(where.cast(pa.int64()).fill_null(-1))


def _digests(
    panel: Panel,
    entity: NDArray[np.int64],
    chunk: NDArray[np.int64],
    counts: NDArray[np.int64],
    wanted: NDArray[np.bool_],
) -> NDArray[np.str_]:
    """Digests of the runs of rows that are wanted."""
    rows = np.repeat(wanted, counts)
    runs = zip(entity[wanted], chunk[wanted], strict=True)
    return entity_digests(
        {name: column[rows] for name, column in panel.arrays.items()},
        entity_columns=panel.entity_columns,
        keys=[(*panel.entity_values(panel.entities[e]), str(c)) for e, c in runs],
        time=panel.time,
        target=panel.target,
        inputs=panel.inputs,
        dated=panel.dated,
        offsets=np.concatenate([[0], np.cumsum(counts[wanted])]),
    )


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
