"""Lineage over versions: what a refit did, joined to what it built on.

A graph holds this version's fits, those they came from, and whoever taught a prior that is still in use. The
versions before are in `history.parquet`, a row each, so that lineage does not grow with every refit.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from posterity.lineage import Edge, Graph, Node

if TYPE_CHECKING:
    from posterity.portfolio.record import Record
    from posterity.portfolio.result import Result

UPDATED = "updated by"


def continued(found: Graph, record: "Record") -> Graph:
    """The graph of a refit with what is still of use in the graph of the version before."""
    assert record.graph is not None
    ours = {node.id for node in found.nodes}
    fresh = {t.entity for t in record.taken}
    before = record.graph
    parents = {f"fit:{t.parent_fit_key}" for t in record.taken if t.parent_fit_key}
    taught = {e.source for e in before.edges if e.relation == "taught"}
    kept = {
        node.id: node
        for node in before.nodes
        if node.id not in ours
        and (
            node.kind != "fit"
            or node.id in parents | taught
            or (node.attributes.get("entity") not in fresh and "run" not in node.attributes)
        )
    }
    nodes = [*found.nodes, *kept.values()]
    names = ours | set(kept)
    # What leads to this version's fits is known; an older edge is about what was kept.
    edges = [e for e in before.edges if e.target in kept and e.source in names]
    # Rows that are revised and then revised back lead to a posterior that was there before: it has its past.
    known = {node.id for node in before.nodes}
    updated = [
        Edge(f"fit:{t.parent_fit_key}", f"fit:{t.fit_key}", UPDATED)
        for t in record.taken
        if t.parent_fit_key and f"fit:{t.parent_fit_key}" in names and f"fit:{t.fit_key}" not in known
    ]
    taught_now = [
        Edge(f"prior:{key}", f"fit:{t.fit_key}", "prior of")
        for t in record.taken
        if (key := record.priors.get(t.entity)) and f"prior:{key}" in names
    ]
    return Graph.of(nodes, [*found.edges, *edges, *updated, *taught_now])


def chain(result: "Result", entity: str) -> Graph:
    """The updates of an entity as a graph: a fit for every version, each leading to the next.

    A posterior that comes back, as when a row is revised and revised back, is there once for each version.
    """
    nodes: dict[str, Node] = {}
    edges, last = [], None
    for row in result.entity_table("history.parquet", entity).to_pylist():
        if not row["fit_key"]:
            continue
        name = f"fit:{row['fit_key']}"
        name = f"{name}@{row['version']}" if name in nodes else name
        nodes[name] = _node(name, entity, row)
        if last is not None:
            edges.append(Edge(last, name, UPDATED))
        last = name
    return Graph.of(nodes.values(), edges)


def _node(name: str, entity: str, row: Mapping[str, Any]) -> Node:
    first, last = (None if row[k] is None else str(row[k]) for k in ("first_time", "last_time"))
    window = {"rows": row["n_rows"], "new_rows": row["new_rows"], "first_time": first, "last_time": last}
    about = {"entity": entity, "version": row["version"], "update": row["update"], "data": window}
    more = ("late", "revised", "vanished", "shift", "ratio", "reason", "config")
    return Node(name, "fit", about | {k: row[k] for k in more if row[k]})


def joined(graph: Graph, other: Graph) -> Graph:
    """Both graphs; a node that both know keeps what either says of it, the first where they differ."""
    mine = {node.id: node for node in graph.nodes}
    more = []
    for node in other.nodes:
        known = mine.get(node.id)
        if known is None:
            more.append(node)
        else:
            mine[node.id] = Node(node.id, known.kind, {**node.attributes, **known.attributes})
    return Graph.of([*mine.values(), *more], {*graph.edges, *other.edges})


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two configurations, a line each: `refit.mode: "exact" → "carry"`."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{name}: {_text(old, name)} → {_text(new, name)}"


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{where}.{key}" if where else str(key))
    else:
        yield where, value


def _text(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name], ensure_ascii=False) if name in values else "absent"
