"""Hashes that say where a fit came from: configuration, data, prior, code."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from posterity.errors import ResultError
from posterity.lineage import Graph, Node, digest
from posterity.portfolio.result import Result

_PREDICTED = ("mean", "median", "lower_", "upper_", "expected_")
_CODE = ("code", "versions", "engine", "software")


@dataclass(frozen=True)
class Origin:
    """Hashes of a result, from its lineage where that names them, else from its files."""

    result: Result

    @cached_property
    def config(self) -> str:
        """Hash of the whole configuration."""
        return self._only(("config",)) or digest(self.result.settings)

    @cached_property
    def code(self) -> str:
        """Git revision where the lineage knows it, else a hash of the versions, else the engine's number."""
        for node in self._nodes:
            if node["kind"] in _CODE and node["attributes"].get("git_revision"):
                return str(node["attributes"]["git_revision"])
        return self._only(_CODE) or f"engine {self.result.manifest.engine}"

    @cached_property
    def data(self) -> str:
        """Hash of the rows that all fits saw."""
        return _rows_digest(self.result.table("intervals.parquet"))

    def tags(self, entity: str) -> dict[str, str]:
        """The four hashes of one entity's fit."""
        row = self.result.entity_row(entity)
        parents = self._parents.get(str(row["fit_key"]), {})
        return {
            "config_hash": parents.get("config", self.config),
            "data_hash": parents.get("data")
            or _rows_digest(self.result.entity_table("intervals.parquet", entity)),
            "prior_hash": parents.get("prior") or self._prior(str(row.get("prior") or "declared")),
            "code_hash": self.code,
        }

    def prior(self, entity: str) -> Node | None:
        """The lineage's node of the transferred prior of an entity; None where it kept the declared one."""
        key = self._parents.get(str(self.result.entity_row(entity)["fit_key"]), {}).get("prior")
        return None if key is None else self._transferred.get(key)

    def entity_of(self, fit_key: str | None) -> str | None:
        """The entity of this result whose fit has a key."""
        return None if fit_key is None else self._entities.get(fit_key)

    @cached_property
    def _entities(self) -> Mapping[str, str]:
        table = self.result.table("entities.parquet")
        pairs = zip(table["fit_key"].to_pylist(), table["entity"].to_pylist(), strict=True)
        return {key: entity for key, entity in pairs if key}

    @cached_property
    def _transferred(self) -> Mapping[str, Node]:
        """By key the priors that took the declared one's place."""
        nodes = (n for n in self._graph.nodes if n.kind == "prior")
        return {_bare(n.id): n for n in nodes if n.attributes.get("source", "declared") != "declared"}

    def _prior(self, name: str) -> str:
        model = self.result.settings.get("model", {})
        return digest({"prior": name, "model": json.loads(json.dumps(model, default=str))})

    @cached_property
    def _graph(self) -> Graph:
        try:
            return Graph.from_dict(json.loads(self.result.text("lineage.json")))
        except (ResultError, ValueError):
            return Graph()  # a result without usable lineage still has its hashes

    @cached_property
    def _nodes(self) -> list[dict[str, Any]]:
        return [{"id": n.id, "kind": n.kind, "attributes": dict(n.attributes)} for n in self._graph.nodes]

    @cached_property
    def _parents(self) -> Mapping[str, Mapping[str, str]]:
        """By fit key, the hash of the parent of each kind, where there is one of that kind only.

        Of two priors it is the transferred one: the declared one is left for what was not transferred.
        """
        kinds = {n["id"]: n["kind"] for n in self._nodes}
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for edge in self._graph.edges:
            if kinds[edge.target] == "fit":
                found[_bare(edge.target)][kinds[edge.source]].append(_bare(edge.source))
        for by_kind in found.values():
            if learned := [key for key in by_kind.get("prior", ()) if key in self._transferred]:
                by_kind["prior"] = learned
        return {key: {k: v[0] for k, v in by_kind.items() if len(v) == 1} for key, by_kind in found.items()}

    def _only(self, kinds: tuple[str, ...]) -> str | None:
        ids = [_bare(n["id"]) for n in self._nodes if n["kind"] in kinds]
        return ids[0] if len(ids) == 1 else None


def _bare(node: str) -> str:
    """`fit:3f…` -> `3f…`."""
    return node.partition(":")[2] or node


def _rows_digest(table: pa.Table) -> str:
    """SHA-256 of entity, time, inputs and observed values, in the table's order."""
    sink = hashlib.sha256()
    for name in table.column_names:
        if not name.startswith(_PREDICTED):
            sink.update(json.dumps([name, str(table[name].type)]).encode())
            sink.update(_bytes(table[name]))
    return sink.hexdigest()


def _bytes(column: pa.ChunkedArray) -> bytes:
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values: bytes = pc.fill_null(column, 0).to_numpy().tobytes() + pc.is_null(column).to_numpy().tobytes()
        return values
    return json.dumps(column.to_pylist(), default=str).encode()
