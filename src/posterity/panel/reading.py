"""From a source to a checked, sorted panel."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from posterity.panel import checks, names
from posterity.panel.columns import entity_text, inputs, numbers, plain
from posterity.panel.findings import Findings, listing, plural
from posterity.panel.ordering import group, offsets, row_order
from posterity.panel.panel import SEPARATOR, Panel
from posterity.panel.roles import Roles, assign
from posterity.panel.sources import Raw, load
from posterity.panel.times import times

if TYPE_CHECKING:
    import pandas as pd

type Source = str | os.PathLike[str] | pa.Table | pd.DataFrame


def read(
    source: Source,
    *,
    entity: Sequence[str] | str,
    time: str | None = None,
    target: str | None = None,
    columns: Sequence[str] = (),
    unobserved: bool = False,
) -> Panel:
    """Read and check a panel.

    `source` is a Parquet or CSV file, a folder of them (`region=north/` folders become columns), a glob, any
    fsspec URL, or a table in memory. Only the needed columns are read: the `entity` columns, the `time` that
    orders rows, the `target` (None where rows are for prediction) and further input `columns`, numeric or
    categorical. Entity columns are always text ("007" stays "007" in CSV; whole numbers are written without
    decimals).

    What makes the whole panel useless raises one `PanelError` with every problem; what concerns an entity
    becomes its reason; rows are never dropped. Without a time column the rows of an entity keep the order of
    the source. With `unobserved`, rows whose target is missing are put aside (`Panel.unobserved`) instead of
    speaking against their entity.
    """
    findings = Findings()
    roles = assign(entity, time, target, columns, findings)
    findings.stop()
    raw = load(source, roles.needed, roles.entity, findings)
    findings.stop()
    if not raw.table.num_rows:
        findings.problem("the panel has no rows; check the source")
        findings.stop()
    table = _typed(raw, roles, findings)
    findings.stop()
    if not unobserved or roles.target is None:
        return checks.values(_sorted(table, roles, findings))
    return _apart(table, roles, findings)


def _apart(table: pa.Table, roles: Roles, findings: Findings) -> Panel:
    """The rows with a target, and those without put aside."""
    assert roles.target is not None
    missing = pc.is_null(table.column(roles.target), nan_is_null=True)
    count = pc.sum(missing).as_py()
    if count == table.num_rows:
        findings.problem(
            f"target {roles.target!r} is missing in every row, so there is nothing to learn from; rows to "
            "predict with a result that is there go to `posterity predict RESULT --rows`"
        )
        findings.stop()
    panel = checks.values(_sorted(table.filter(pc.invert(missing)), roles, findings))
    if not count:
        return panel
    rest = table.filter(missing).drop_columns([roles.target])
    aside = checks.values(_sorted(rest, replace(roles, target=None), Findings()))
    strangers = [entity for entity in aside.entities if entity not in set(panel.entities)]
    notices = [f"{plural(count, 'row')} without a target put aside, to be predicted"]
    if strangers:
        who = f"{plural(len(strangers), 'entity has', 'entities have')} such rows only"
        notices.append(f"{who}: {listing(strangers, 3)} cannot be fitted, nor predicted")
    return replace(panel.with_reasons({}, notices), unobserved=aside)


def _typed(raw: Raw, roles: Roles, findings: Findings) -> pa.Table:
    """Every column in the canonical type of its role; an input that is also an entity column stays text."""
    typed: dict[str, pa.ChunkedArray | None] = {}
    for name in roles.needed:
        column, spelled = plain(raw.table.column(name)), name in raw.spelled
        if name in roles.entity:
            typed[name] = entity_text(name, column, findings)
        elif name == roles.time:
            typed[name] = times(name, column, spelled, findings)
        elif name == roles.target:
            typed[name] = numbers(name, "target", column, spelled, findings)
        else:
            typed[name] = inputs(name, column, spelled, findings)
    return pa.table({name: column for name, column in typed.items() if column is not None})


def _sorted(table: pa.Table, roles: Roles, findings: Findings) -> Panel:
    grouping = group([table.column(name) for name in roles.entity], SEPARATOR)
    names.check(grouping, roles.entity, SEPARATOR, findings)
    findings.stop()
    order = row_order(grouping.codes, None if roles.time is None else table.column(roles.time))
    table = table.combine_chunks() if order is None else table.take(pa.array(order)).combine_chunks()
    rows, entities = plural(table.num_rows, "row"), plural(len(grouping.names), "entity", "entities")
    return Panel(
        table=table,
        entity_columns=roles.entity,
        time=roles.time,
        target=roles.target,
        inputs=roles.inputs,
        entities=tuple(grouping.names),
        offsets=offsets(grouping.codes, len(grouping.names)),
        reasons={},
        notices=(f"{rows} of {entities}", *findings.notices),
    )
