"""Parts into a published result."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from posterity.config import to_yaml
from posterity.config.schema import percent
from posterity.inference.compiled import compiled, inputs_of
from posterity.lineage import ENGINE_VERSION, Edge, Graph, Node, digest, versions
from posterity.models.arrays import arrays
from posterity.portfolio.parts import Parts, flattened
from posterity.portfolio.plan import Plan, entity_columns
from posterity.portfolio.store import Draft, writing
from posterity.portfolio.tables import PER_ENTITY, Layout, empty_rows

PRIOR_DRAWS = 1_000
DECLARED = "declared"

# The columns of entities.parquet, after the entity columns; coverage comes before the provenance.
ABOUT = ("entity", "status", "reason", "method", "role", "n_rows", "first_time", "last_time")
DIAGNOSTICS = ("rhat", "ess_bulk", "ess_tail", "divergences", "bfmi", "khat")
PROVENANCE = ("mae", "seconds", "prior", "prior_rows", "conflict_p", "tried", "fit_key", "parent_fit_key")


def merge(plan: Plan, folder: Path, seconds: float) -> Path:
    """Write every table of the result from the parts in `folder`, the manifest last; returns the folder."""
    parts = Parts(folder)
    keys = [plan.keys[entity] for entity in plan.fittable]
    entities = _entities(plan, [_single(table) for table in parts.ordered(keys)])
    with writing(folder) as draft:
        draft.table("entities.parquet", entities)
        for name in PER_ENTITY:
            _write_lists(draft, plan, parts, keys, name)
        draft.table("factors.parquet", _factors(parts, keys))
        if plan.fittable:
            draft.table("prior_draws.parquet", prior_draws(plan))
        draft.json("lineage.json", lineage(plan).to_dict())
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
            methods=dict(Counter(m for m in entities["method"].to_pylist() if m)),
            notices=list(plan.panel.notices),
        )


def prior_draws(plan: Plan) -> pa.Table:
    """Draws from the declared prior, one column a scalar parameter: what figures compare posteriors with."""
    model = compiled(plan.description)
    rows = plan.panel.rows(plan.fittable[0])
    inputs = inputs_of(model, {**arrays(plan.description, rows), **plan.description.numbers})
    thetas = model.starts(inputs, plan.config.inference.seed, PRIOR_DRAWS)[1:]
    values = model.parameters(thetas, inputs)
    return pa.table({name: values[:, i] for i, name in enumerate(model.parameter_names)})


def lineage(plan: Plan) -> Graph:
    """Configuration, data, declared prior and code → every fit. Ids are kind and digest."""
    panel, config = plan.panel, plan.config
    numbers = {name: value.tolist() for name, value in plan.description.numbers.items()}
    data = {"source": config.data.source, "rows": panel.n_rows, "entities": len(panel.entities)}
    code = versions()
    configured = _node("config", config.model_dump(mode="json"), {"name": config.name})
    model = Node(f"model:{plan.description.key}", "model", {"levels": _levels(plan)})
    prior = _node("prior", numbers, {"source": DECLARED, "numbers": numbers})
    observed = _node("data", [str(d) for d in panel.digests], data)
    software = _node("versions", dict(code), dict(code))
    edges = [Edge(configured.id, model.id, "describes"), Edge(configured.id, prior.id, "declares")]
    sources = {model: "fitted by", prior: "prior of", observed: "observed by", software: "run by"}
    nodes = [configured, *sources]
    for row, rows_digest in zip(entity_columns(plan).to_pylist(), panel.digests, strict=True):
        if row["entity"] in panel.reasons:
            continue
        first, last = (None if row[k] is None else str(row[k]) for k in ("first_time", "last_time"))
        window = {"rows": row["n_rows"], "first_time": first, "last_time": last, "digest": str(rows_digest)}
        fit = Node(
            f"fit:{row['fit_key']}", "fit", {"entity": row["entity"], "role": row["role"], "data": window}
        )
        nodes.append(fit)
        edges += [Edge(source.id, fit.id, relation) for source, relation in sources.items()]
    return Graph.of(nodes, edges)


def _node(kind: str, identity: Any, attributes: dict[str, Any]) -> Node:
    return Node(f"{kind}:{digest(identity)}", kind, attributes)


def _levels(plan: Plan) -> dict[str, list[Any]]:
    """Labels of every dimension; dates and the like as text."""
    plain = (str, int, float)
    return {
        d: [x if isinstance(x, plain) else str(x) for x in labels]
        for d, labels in plan.description.levels.items()
    }


def _single(table: pa.Table) -> pa.Table:
    """The columns with one value an entity."""
    return table.select(
        [n for n in table.column_names if n not in PER_ENTITY and not n.startswith("factor_")]
    )


def _entities(plan: Plan, fitted: list[pa.Table]) -> pa.Table:
    """`entities.parquet`: what the panel says of every entity beside what its fit says."""
    about = entity_columns(plan)
    shares = [f"coverage_{percent(mass)}" for mass in plan.config.intervals]
    if fitted:
        fits = pa.concat_tables(fitted)
        at = pc.index_in(about["fit_key"], fits["fit_key"].combine_chunks())
        columns = {
            name: fits[name].take(at) for name in fits.column_names if name not in ("entity", "fit_key")
        }
    else:
        columns = {}
    missing = pa.nulls(about.num_rows, pa.float64())
    n = about.num_rows
    reasons = pa.array([plan.panel.reasons.get(e) for e in plan.panel.entities], pa.string())
    text = pa.nulls(n, pa.string())
    columns["status"] = pc.fill_null(columns.get("status", text), "failed")
    columns["reason"] = pc.coalesce(reasons, columns.get("reason", text))
    fitted_mask = pc.is_null(reasons)
    columns["prior"] = pc.if_else(fitted_mask, pa.scalar(DECLARED), pa.scalar(None, pa.string()))
    columns |= {"prior_rows": missing, "conflict_p": missing, "parent_fit_key": text}
    keys = [name for name in plan.panel.entity_columns if name != "entity"]
    order = [*keys, *ABOUT, *DIAGNOSTICS, *shares, *PROVENANCE]
    kinds: dict[str, pa.DataType] = {"method": pa.string(), "tried": pa.string(), "divergences": pa.int64()}
    every = {name: about[name] for name in about.column_names} | columns
    return pa.table({k: every.get(k, pa.nulls(n, kinds.get(k, pa.float64()))) for k in order})


def _write_lists(draft: Draft, plan: Plan, parts: Parts, keys: list[str], name: str) -> None:
    pieces: Iterator[pa.Table] = (
        flattened(table, name) for table in parts.ordered(keys) if name in table.column_names
    )
    first = next(pieces, None)
    if first is None:
        draft.table(f"{name}.parquet", _no_rows(plan, name))
        return
    with draft.stream(f"{name}.parquet", first.schema) as write:
        write(first)
        for piece in pieces:
            write(piece.cast(first.schema))


def _no_rows(plan: Plan, name: str) -> pa.Table:
    schema = plan.panel.table.schema
    text = {c for c in plan.description.columns if not _numeric(schema.field(c).type)}
    inputs = {c: pa.string() if c in text else pa.float64() for c in plan.description.columns}
    layout = Layout(plan.config.intervals, plan.keep, plan.time_type)
    return empty_rows(name, layout, inputs, compiled(plan.description).parameter_names)


def _numeric(kind: pa.DataType) -> bool:
    # Models see dates as numbers of days.
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def _factors(parts: Parts, keys: list[str]) -> pa.Table:
    names = ("names", "mean", "covariance")
    tables = [
        pa.table({"entity": t["entity"], **{n: t[f"factor_{n}"] for n in names}}) for t in parts.ordered(keys)
    ]
    schema: Any = [("entity", pa.string()), ("names", pa.list_(pa.string()))]
    numbers = pa.list_(pa.float64())
    table = (
        pa.concat_tables(tables)
        if tables
        else pa.schema([*schema, ("mean", numbers), ("covariance", numbers)]).empty_table()
    )
    # A declared prior is no Gaussian on the unconstrained scale; transferred priors fill these.
    for name in ("prior_mean", "prior_covariance"):
        table = table.append_column(name, pa.nulls(table.num_rows, numbers))
    return table
