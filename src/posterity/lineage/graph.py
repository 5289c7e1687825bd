"""The graph of what came from what, a value, written as `lineage.json`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from posterity.errors import ResultError
from posterity.lineage.hashing import digest


@dataclass(frozen=True, slots=True)
class Node:
    """A thing with a past; `kind` is a word such as `data` or `fit`, `attributes` are plain JSON values."""

    id: str
    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """`target` came from `source`; `relation` says how (`observed by`, `prior of`, `parent of`)."""

    source: str
    target: str
    relation: str


@dataclass(frozen=True)
class Graph:
    """Nodes sorted by id and edges sorted, without repeats. Build it with `Graph.of`."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()

    @classmethod
    def of(cls, nodes: Iterable[Node], edges: Iterable[Edge] = ()) -> Self:
        """A graph. Two different nodes with one id, an edge to nowhere, or a cycle raise `ResultError`."""
        known: dict[str, Node] = {}
        for node in nodes:
            other = known.setdefault(node.id, node)
            if other is not node and other != node:
                raise ResultError(
                    f"two different lineage nodes have the id {node.id!r}: a {other.kind} and a {node.kind}"
                )
        kept = tuple(sorted(set(edges)))
        for edge in kept:
            for end in (edge.source, edge.target):
                if end not in known:
                    raise ResultError(
                        f"the lineage edge {edge.source!r} -> {edge.target!r} names {end!r}, which is no node"
                    )
        graph = cls(tuple(known[k] for k in sorted(known)), kept)
        graph._refuse_cycles()
        return graph

    def __getstate__(self) -> dict[str, Any]:
        return {"nodes": self.nodes, "edges": self.edges}  # without what is cached

    def merge(self, *others: "Graph") -> "Graph":
        """The union of graphs; nodes they share must be equal."""
        graphs = (self, *others)
        return Graph.of((n for g in graphs for n in g.nodes), (e for g in graphs for e in g.edges))

    def __getitem__(self, node: str) -> Node:
        if node not in self._by_id:
            raise ResultError(f"the lineage has no node {node!r}; it has {len(self.nodes):,} nodes")
        return self._by_id[node]

    def history(self, node: str) -> "Graph":
        """The node, everything it came from, and the edges between them."""
        self[node]
        found, waiting = {node}, [node]
        while waiting:
            for edge in self._incoming.get(waiting.pop(), ()):
                if edge.source not in found:
                    found.add(edge.source)
                    waiting.append(edge.source)
        kept = (edge for name in sorted(found) for edge in self._incoming.get(name, ()))
        return Graph(tuple(self._by_id[name] for name in sorted(found)), tuple(sorted(kept)))

    def parents(self, node: str) -> tuple[Edge, ...]:
        """The edges that lead into a node, sorted."""
        self[node]
        return tuple(self._incoming.get(node, ()))

    @property
    def digest(self) -> str:
        """SHA-256 of the graph's content."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the same for equal graphs."""
        nodes = [{"id": n.id, "kind": n.kind, "attributes": _sorted(n.attributes)} for n in self.nodes]
        edges = [{"source": e.source, "target": e.target, "relation": e.relation} for e in self.edges]
        return {"format": 1, "nodes": nodes, "edges": edges}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The graph that `to_dict` wrote; anything else raises ResultError."""
        try:
            if content["format"] != 1:
                raise ResultError(
                    f"the lineage has format {content['format']!r}; this version reads format 1"
                )
            nodes = [Node(str(n["id"]), str(n["kind"]), dict(n["attributes"])) for n in content["nodes"]]
            edges = [Edge(str(e["source"]), str(e["target"]), str(e["relation"])) for e in content["edges"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ResultError(
                f"the lineage is damaged: {type(error).__name__} {error}; restore the result folder"
            ) from error
        return cls.of(nodes, edges)

    @cached_property
    def _by_id(self) -> dict[str, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def _incoming(self) -> dict[str, list[Edge]]:
        incoming = defaultdict(list)
        for edge in self.edges:
            incoming[edge.target].append(edge)
        return dict(incoming)

    def _refuse_cycles(self) -> None:
        """Kahn's order: once every node without waiting ancestors is taken away, a cycle is left."""
        waiting = {name: len(edges) for name, edges in self._incoming.items()}
        outgoing = defaultdict(list)
        for edge in self.edges:
            outgoing[edge.source].append(edge.target)
        free = [node.id for node in self.nodes if node.id not in waiting]
        while free:
            for target in outgoing.get(free.pop(), ()):
                waiting[target] -= 1
                if not waiting[target]:
                    del waiting[target]
                    free.append(target)
        if waiting:
            raise ResultError(
                f"the lineage goes round in a circle through {min(waiting)!r}; nothing can come from itself"
            )


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_sorted(v) for v in value]
    return value
