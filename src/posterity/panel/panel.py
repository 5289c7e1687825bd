"""The panel as a value: a sorted table, where each entity's rows lie, and what is known against them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from posterity.errors import PanelError
from posterity.panel.digests import entity_digests
from posterity.panel.findings import listing, nearest

SEPARATOR = " / "
_MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True, eq=False)
class Rows:
    """One entity's rows, small and picklable, in time order (in the file's order without a time column).

    `columns` maps each input, and the time column under its own name, to an array of shape (n,): float64, or
    str objects for categorical inputs; dates are days since 1970-01-01. `target` is float64 of shape (n,), or
    None. `time` is as stored: int64, float64 or datetime64[us], or None. Missing numbers are NaN.
    """

    columns: Mapping[str, NDArray[Any]]
    target: NDArray[np.float64] | None
    time: NDArray[Any] | None
    n: int

    def after(self, rows: int) -> "Rows":
        """Without the first rows."""
        if not rows:
            return self
        return self._take(slice(rows, None), self.n - rows)

    def last(self, rows: int) -> "Rows":
        """The last rows only."""
        kept = min(rows, self.n)
        return self._take(slice(self.n - kept, None), kept)

    def _take(self, part: slice, n: int) -> "Rows":
        columns = {name: values[part] for name, values in self.columns.items()}
        target = None if self.target is None else self.target[part]
        return Rows(columns, target, None if self.time is None else self.time[part], n)


@dataclass(frozen=True, eq=False)
class Panel:
    """A checked panel. Build it with `posterity.panel.read`; change it with `select` and `with_reasons`.

    `table` is sorted by entity name (code points), then time; entity columns and categorical inputs are text,
    the target and numeric inputs float64, the time int64, float64 or timestamp[us] (UTC). Entity i owns the
    rows `offsets[i]:offsets[i + 1]`; `offsets` is int64 of shape (entities + 1,). `reasons` maps an entity
    that cannot be fitted to the sentence why; its rows are kept. `notices` are sentences worth showing.
    `unobserved` are rows without a target that were put aside, of whatever entities.
    """

    table: pa.Table
    entity_columns: tuple[str, ...]
    time: str | None
    target: str | None
    inputs: tuple[str, ...]
    entities: tuple[str, ...]
    offsets: NDArray[np.int64]
    reasons: Mapping[str, str]
    notices: tuple[str, ...]
    unobserved: "Panel | None" = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}  # without what is cached

    @property
    def n_rows(self) -> int:
        """Number of rows of the panel."""
        return int(self.table.num_rows)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each entity, shape (entities,)."""
        return np.diff(self.offsets)

    @cached_property
    def digests(self) -> NDArray[np.str_]:
        """One digest per entity over its name and rows, 32 hexadecimal digits (128 bits), shape (entities,).

        Depends on values and column names and roles alone: not on row order, file format, integer or float
        storage, or on which other entities are there.
        """
        return entity_digests(
            self.arrays,
            entity_columns=self.entity_columns,
            keys=[self.entity_values(e) for e in self.entities],
            time=self.time,
            target=self.target,
            inputs=self.inputs,
            dated=self.dated,
            offsets=self.offsets,
        )

    @property
    def dated(self) -> bool:
        """Whether the time column holds dates."""
        return self.time is not None and pa.types.is_timestamp(self.table.schema.field(self.time).type)

    @cached_property
    def entity_table(self) -> pa.Table:
        """The entity columns, one row per entity in the order of `entities`."""
        return self.table.select(list(self.entity_columns)).take(pa.array(self.offsets[:-1]))

    @cached_property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """What models see of the whole panel: inputs and time as in `Rows.columns`, and the target."""
        names = dict.fromkeys((*self.inputs, *(n for n in (self.time, self.target) if n is not None)))
        return {name: _seen_by_models(self.table.column(name)) for name in names}

    @cached_property
    def _times(self) -> NDArray[Any] | None:
        return None if self.time is None else _frozen(self.table.column(self.time).to_numpy())

    @cached_property
    def _position(self) -> dict[str, int]:
        return {entity: i for i, entity in enumerate(self.entities)}

    @cached_property
    def _keys(self) -> tuple[tuple[str, ...], ...]:
        return tuple(zip(*(column.to_pylist() for column in self.entity_table.columns), strict=True))

    @cached_property
    def first_times(self) -> pa.ChunkedArray | None:
        """The first time of each entity in the time column's type; None without a time column."""
        return None if self.time is None else self.table.column(self.time).take(pa.array(self.offsets[:-1]))

    @cached_property
    def last_times(self) -> pa.ChunkedArray | None:
        """The last time of each entity in the time column's type; None without a time column."""
        return (
            None if self.time is None else self.table.column(self.time).take(pa.array(self.offsets[1:] - 1))
        )

    def position(self, entity: str) -> int:
        """Index of an entity; an unknown name is a `PanelError` with the nearest one."""
        try:
            return self._position[entity]
        except KeyError:
            known = f"the panel has {len(self.entities):,} entities, such as {listing(self.entities[:3])}"
            raise PanelError([f"no entity {entity!r}; {known}{nearest(entity, self.entities)}"]) from None

    def rows(self, entity: str) -> Rows:
        """The rows of one entity, as views of the panel's arrays (pickling copies only these rows)."""
        i = self.position(entity)
        part = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        arrays = self.arrays
        return Rows(
            columns={n: a[part] for n, a in arrays.items() if n != self.target},
            target=None if self.target is None else arrays[self.target][part],
            time=None if self._times is None else self._times[part],
            n=part.stop - part.start,
        )

    def entity_values(self, entity: str) -> tuple[str, ...]:
        """The values of the entity columns, in their order."""
        return self._keys[self.position(entity)]

    def levels(self, column: str) -> tuple[Any, ...]:
        """Sorted distinct values of a column over this panel, missing ones left out.

        Text as str, whole numbers as int, other numbers as float, times as datetimes. Take the levels of the
        whole panel before selecting entities from it.
        """
        if column not in self.table.column_names:
            known = self.table.column_names
            raise PanelError(
                [f"no column {column!r}; read were {listing(known, 20)}{nearest(column, known)}"]
            )
        distinct = pc.unique(self.table.column(column)).drop_null()
        if pa.types.is_floating(distinct.type):
            distinct = pc.filter(distinct, pc.is_finite(distinct))
        found = sorted(distinct.to_pylist())
        if all(isinstance(v, float) and v.is_integer() for v in found):
            return tuple(int(v) for v in found)
        return tuple(found)

    def select(self, entities: Iterable[str]) -> "Panel":
        """The panel of these entities only, in the panel's order, with buffers of its own."""
        wanted = np.unique(np.array([self.position(e) for e in entities], dtype=np.int64))
        if not len(wanted):
            raise PanelError(["no entity is selected; name at least one"])
        counts = self.counts[wanted]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        index = np.arange(offsets[-1]) + np.repeat(self.offsets[wanted] - offsets[:-1], counts)
        names = tuple(self.entities[i] for i in wanted)
        reasons = {e: self.reasons[e] for e in names if e in self.reasons}
        return replace(
            self,
            table=self.table.take(pa.array(index)),
            entities=names,
            offsets=_frozen(offsets),
            reasons=reasons,
        )

    def taking(self, mask: NDArray[np.bool_]) -> "Panel | None":
        """The panel of the rows in a mask (rows,); None where it has none. Entities without rows are gone."""
        counts = np.add.reduceat(mask, self.offsets[:-1], dtype=np.int64) if len(mask) else np.zeros(0, int)
        there = np.flatnonzero(counts)
        if not len(there):
            return None
        names = tuple(self.entities[i] for i in there)
        return replace(
            self,
            table=self.table.filter(pa.array(mask)).combine_chunks(),
            entities=names,
            offsets=_frozen(np.concatenate(([0], np.cumsum(counts[there])))),
            reasons={e: self.reasons[e] for e in names if e in self.reasons},
        )

    def with_reasons(self, reasons: Mapping[str, str], notices: Iterable[str] = ()) -> "Panel":
        """The same panel with further reasons (joined to those an entity has) and notices."""
        joined = dict(self.reasons)
        for entity, reason in reasons.items():
            self.position(entity)
            joined[entity] = f"{joined[entity]}; {reason}" if entity in joined else reason
        return replace(self, reasons=joined, notices=(*self.notices, *notices))


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _seen_by_models(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_timestamp(column.type):
        micros = column.cast(pa.int64()).to_numpy()
        return _frozen(np.asarray(micros, dtype=np.float64) / _MICROSECONDS_A_DAY)
    if pa.types.is_string(column.type):
        return _frozen(column.to_numpy())
    return _frozen(np.asarray(column.to_numpy(), dtype=np.float64))
