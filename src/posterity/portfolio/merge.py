"""Parts into a published result: tables here, priors and their draws in `taught`, lineage in `ancestry`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from posterity.config import to_yaml
from posterity.config.schema import percent
from posterity.inference.compiled import compiled
from posterity.lineage import ENGINE_VERSION
from posterity.portfolio import actionable, bound, ledger, unobserved
from posterity.portfolio.ancestry import lineage
from posterity.portfolio.classes import SCORES
from posterity.portfolio.parts import Parts, flattened
from posterity.portfolio.plan import Plan, entity_columns
from posterity.portfolio.record import Record
from posterity.portfolio.store import Draft, writing
from posterity.portfolio.tables import FACTORS, OPTIONAL, PER_ENTITY, Layout, empty_rows
from posterity.portfolio.taught import Taught
from posterity.portfolio.widths import widths

# The columns of entities.parquet, after the entity columns; coverage comes before the provenance.
ABOUT = ("entity", "status", "reason", "method", "role", "n_rows", "first_time", "last_time")
DIAGNOSTICS = ("rhat", "ess_bulk", "ess_tail", "divergences", "bfmi", "khat")
PROVENANCE = (
    *("mae", "seconds", "prior", "prior_rows", "conflict_p", "vague_weight"),
    *("actionable", "actionable_width"),
    *("tried", "version", "update", "fit_key", "parent_fit_key"),
)


def merge(
    plan: Plan, folder: Path, seconds: float, record: Record | None = None, lent: Iterable[pa.Table] = ()
) -> Path:
    """Write every table of the result from the parts in `folder` and those `lent` by the version before, the
    manifest last; returns the folder. `record` says how a refit came about.
    """
    parts = Parts(folder, lent)
    record = record or Record.of_fit(plan)
    keys = [plan.keys[entity] for entity in plan.fittable]
    fits = [_single(table) for table in parts.ordered(keys)]
    marks = actionable.columns(plan.config.actionable, plan.panel.entities, widths(plan, parts.ordered(keys)))
    kept = record.kept.files if record.kept else ()
    taught = Taught.of(plan, parts, pa.concat_tables(fits, promote_options="default") if fits else None, kept)
    entities = _entities(plan, fits, taught, record, marks)
    with writing(folder) as draft:
        draft.table("entities.parquet", entities)
        for name in PER_ENTITY:
            _write_lists(draft, plan, parts, keys, name)
        bound.write(draft, parts, keys)
        draft.table("factors.parquet", _factors(parts, keys))
        files = taught.write(draft, record.kept) if plan.fittable else {}
        draft.table(ledger.ROWS, ledger.rows_table(plan.panel))
        if (aside := unobserved.table(plan.panel)) is not None:
            draft.table(unobserved.FILE, aside)
        inside = ledger.ledger_table(plan.panel, plan.clock, record.version, record.ledger, record.appended)
        draft.table(ledger.LEDGER, inside)
        draft.table(ledger.HISTORY, ledger.history_table(record.taken, plan.time_type, record.history))
        draft.json("lineage.json", lineage(plan, taught, record).to_dict())
        draft.text("config.yaml", to_yaml(plan.config))
        statuses = Counter(entities["status"].to_pylist())
        return draft.publish(
            {
                "run_key": plan.run_key,
                "name": plan.config.name,
                "engine": ENGINE_VERSION,
                "counts": {status: statuses.get(status, 0) for status in ("ok", "flagged", "failed")},
                "seconds": seconds,
            },
            version=record.version,
            clock=None if plan.clock is None else plan.clock.to_dict(),
            **record.extra,
            methods=dict(Counter(m for m in entities["method"].to_pylist() if m)),
            notices=[*plan.panel.notices, *taught.notices],
            **({"priors": files} if files else {}),
        )


def _single(table: pa.Table) -> pa.Table:
    """The columns with one value an entity."""
    return table.select(
        [n for n in table.column_names if n not in (*PER_ENTITY, *OPTIONAL) and not n.startswith("factor_")]
    )


def _entities(
    plan: Plan, fitted: list[pa.Table], taught: Taught, record: Record, marks: Mapping[str, pa.Array]
) -> pa.Table:
    """`entities.parquet`: what the panel says of every entity beside what its fit says."""
    about = entity_columns(plan)
    shares = [f"coverage_{percent(mass)}" for mass in plan.config.intervals]
    if fitted:
        fits = pa.concat_tables(fitted, promote_options="default")
        at = pc.index_in(about["fit_key"], fits["fit_key"].combine_chunks())
        columns = {
            name: fits[name].take(at) for name in fits.column_names if name not in ("entity", "fit_key")
        }
    else:
        columns = {}
    reasons = pa.array([plan.panel.reasons.get(e) for e in plan.panel.entities], pa.string())
    text = pa.nulls(about.num_rows, pa.string())
    columns["status"] = pc.fill_null(columns.get("status", text), "failed")
    columns["reason"] = pc.coalesce(reasons, columns.get("reason", text))
    names = plan.panel.entities
    columns["prior"] = pa.array([record.labels.get(e) or taught.label(e) for e in names], pa.string())
    parents = [record.parents.get(e) or taught.parent(e) for e in names]
    columns |= marks
    columns["parent_fit_key"] = pa.array(parents, pa.string())
    columns["version"] = pa.array([record.version_of(e) for e in names], pa.int64())
    columns["update"] = pa.array([record.update_of(e) for e in names], pa.string())
    keys = [name for name in plan.panel.entity_columns if name != "entity"]
    classes = plan.config.model.family.classifies
    order = [*keys, *ABOUT, *DIAGNOSTICS, *shares, *(SCORES if classes else ()), *PROVENANCE]
    kinds: dict[str, pa.DataType] = {"method": pa.string(), "tried": pa.string(), "divergences": pa.int64()}
    every = {name: about[name] for name in about.column_names} | columns
    rows = about.num_rows
    return pa.table({k: every.get(k, pa.nulls(rows, kinds.get(k, pa.float64()))) for k in order})


def _write_lists(draft: Draft, plan: Plan, parts: Parts, keys: list[str], name: str) -> None:
    tables = [table for table in parts.ordered(keys) if name in table.column_names]
    if not tables:
        draft.table(f"{name}.parquet", _no_rows(plan, name))
        return
    # What an earlier version lent may lack a column that this one has.
    widest = max(tables, key=lambda table: table.schema.field(name).type.value_type.num_fields)
    schema = flattened(widest.slice(0, 1), name).schema
    with draft.stream(f"{name}.parquet", schema) as write:
        for table in tables:
            write(_conformed(flattened(table, name), schema))


def _conformed(piece: pa.Table, schema: pa.Schema) -> pa.Table:
    """With the columns of a schema, in its order; those that are not there are missing values."""
    columns = [
        piece[field.name] if field.name in piece.column_names else pa.nulls(piece.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, names=schema.names).cast(schema)


def _no_rows(plan: Plan, name: str) -> pa.Table:
    schema = plan.panel.table.schema
    text = {c for c in plan.description.columns if not _numeric(schema.field(c).type)}
    inputs = {c: pa.string() if c in text else pa.float64() for c in plan.description.columns}
    layout = Layout(plan.config.intervals, plan.keep, plan.time_type, plan.config.abstain)
    return empty_rows(name, layout, inputs, compiled(plan.description).parameter_names)


def _numeric(kind: pa.DataType) -> bool:
    # Models see dates as numbers of days.
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def _factors(parts: Parts, keys: list[str]) -> pa.Table:
    tables = [
        pa.table({"entity": t["entity"], **{n: t[f"factor_{n}"] for n in FACTORS.names}})
        for t in parts.ordered(keys)
    ]
    schema = pa.schema([("entity", pa.string()), *FACTORS])
    return pa.concat_tables(tables) if tables else schema.empty_table()
