"""Hashes that identify fits, the versions that made them, and the graph of what came from what."""

from posterity.lineage.graph import Edge, Graph, Node
from posterity.lineage.hashing import digest, fit_key
from posterity.lineage.versions import ENGINE_VERSION, versions

__all__ = ["ENGINE_VERSION", "Edge", "Graph", "Node", "digest", "fit_key", "versions"]
