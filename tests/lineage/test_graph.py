"""The graph of what came from what."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posterity.errors import ResultError
from posterity.lineage import Edge, Graph, Node

NODES = [
    Node("config", "config", {"name": "adoption"}),
    Node("data a", "data", {"rows": 52, "digest": "d"}),
    Node("fit a1", "fit", {"method": "laplace"}),
    Node("fit a2", "fit", {"method": "nuts"}),
    Node("fit b1", "fit"),
]
EDGES = [
    Edge("config", "fit a1", "configured"),
    Edge("data a", "fit a1", "observed"),
    Edge("fit a1", "fit a2", "prior of"),
    Edge("config", "fit b1", "configured"),
]


def test_history_is_everything_a_node_came_from():
    graph = Graph.of(NODES, EDGES)
    history = graph.history("fit a2")
    assert [n.id for n in history.nodes] == ["config", "data a", "fit a1", "fit a2"]
    assert set(history.edges) == set(EDGES[:3])
    assert [n.id for n in graph.history("config").nodes] == ["config"]
    assert graph.parents("fit a2") == (EDGES[2],)
    assert graph["data a"].attributes["rows"] == 52


@given(st.permutations(NODES), st.permutations(EDGES))
def test_the_order_of_building_does_not_matter(nodes, edges):
    graph, base = Graph.of(nodes, [*edges, edges[0]]), Graph.of(NODES, EDGES)
    assert graph == base
    assert json.dumps(graph.to_dict()) == json.dumps(base.to_dict())
    assert graph.digest == base.digest


def test_a_graph_survives_json_and_pickle():
    graph = Graph.of(NODES, EDGES)
    graph.history("fit a2")
    assert Graph.from_dict(json.loads(json.dumps(graph.to_dict()))) == graph
    assert pickle.loads(pickle.dumps(graph)) == graph


def test_keys_of_attributes_are_written_in_order():
    one = Graph.of([Node("n", "data", {"b": {"d": 1, "c": 2}, "a": [1]})])
    two = Graph.of([Node("n", "data", {"a": (1,), "b": {"c": 2, "d": 1}})])
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())


def test_graphs_merge_where_they_agree():
    left, right = Graph.of(NODES[:3], EDGES[:2]), Graph.of(NODES, EDGES[2:])
    assert left.merge(right) == Graph.of(NODES, EDGES)
    with pytest.raises(
        ResultError, match="two different lineage nodes have the id 'config': a config and a data"
    ):
        left.merge(Graph.of([Node("config", "data")]))


@pytest.mark.parametrize(
    ("edges", "fragment"),
    [
        ([Edge("config", "nowhere", "x")], "names 'nowhere', which is no node"),
        ([Edge("config", "config", "x")], "in a circle through 'config'"),
        ([*EDGES, Edge("fit a2", "data a", "x")], "in a circle"),
    ],
)
def test_impossible_pasts_are_refused(edges, fragment):
    with pytest.raises(ResultError, match=fragment):
        Graph.of(NODES, edges)


def test_a_node_that_is_not_there_is_an_error():
    with pytest.raises(ResultError, match="no node 'fit c'; it has 5 nodes"):
        Graph.of(NODES, EDGES).history("fit c")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"format": 2},
        {"format": 1, "nodes": None, "edges": []},
        {"format": 1, "nodes": [{"id": 1}], "edges": []},
        {"format": 1, "nodes": [], "edges": [{"source": "a", "target": "b", "relation": "c"}]},
    ],
)
def test_a_damaged_file_is_an_error_that_says_so(content):
    with pytest.raises(ResultError, match="lineage"):
        Graph.from_dict(content)


def test_a_long_past_is_walked_without_recursion():
    nodes = [Node(f"{i:05d}", "fit") for i in range(5000)]
    edges = [Edge(f"{i:05d}", f"{i + 1:05d}", "prior of") for i in range(4999)]
    assert len(Graph.of(nodes, edges).history("04999").nodes) == 5000
