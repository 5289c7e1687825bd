"""Rows without a target: put aside when a panel is read, kept with the result, predicted by it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from posterity.panel import Panel, read
from posterity.portfolio.ledger import rows_table

FILE = "unobserved.parquet"


def table(panel: Panel) -> pa.Table | None:
    """The rows of a panel's entities that have no target, by entity and time; None where there are none."""
    aside = panel.unobserved
    if aside is None or not (there := set(aside.entities) & set(panel.entities)):
        return None
    return rows_table(aside.select(there))


def still(panel: Panel, before: pa.Table | None, delivered: Panel | None) -> Panel:
    """The panel of a refit with the rows that have no target after a delivery: those of `before`, a result's
    table, and those `delivered`, without those that have been observed since.

    Without a time column nobody can tell which row was observed, and those delivered are all.
    """
    tables = [] if delivered is None else [delivered.table]
    if before is not None and panel.time is not None:
        tables.append(before)
    if not tables:
        return replace(panel, unobserved=None)
    columns = [*panel.entity_columns, *([] if panel.time is None else [panel.time])]
    names = [name for name in panel.table.column_names if name != panel.target]
    rows = pa.concat_tables([one.select(names) for one in tables], promote_options="permissive")
    keys = rows.select(columns).to_pandas()
    gone = np.zeros(len(keys), bool)
    if panel.time is not None:
        seen = panel.table.select(columns).to_pandas()
        merged = keys.merge(seen.drop_duplicates(), how="left", on=columns, indicator=True)
        # Delivered rows come first, and are the latest word on their inputs.
        gone = (merged["_merge"] == "both").to_numpy() | keys.duplicated().to_numpy()
    rows = rows.filter(pa.array(~gone))
    if not rows.num_rows:
        return replace(panel, unobserved=None)
    aside = read(rows, entity=panel.entity_columns, time=panel.time, columns=list(panel.inputs))
    return replace(panel, unobserved=aside)
