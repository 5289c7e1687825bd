"""Results of other portfolios that a run's priors came from, in its lineage: which, and what they assumed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from posterity.lineage import Edge, Graph, Node, digest
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.rules import Source

if TYPE_CHECKING:
    from posterity.portfolio.plan import Plan
    from posterity.portfolio.taught import Taught

UPSTREAM = "upstream"
"""Kind of a node that stands for a result of another portfolio."""

HELD, BELOW = "held", "upstream of"


def with_upstreams(graph: Graph, plan: "Plan", taught: "Taught") -> Graph:
    """The graph with a node for every result that an entity's prior came from, which leads to the posteriors
    it held, and with those that these results themselves were built on.
    """
    known = {node.id for node in graph.nodes}
    parents: dict[Source, list[str]] = {}
    for entity, source in plan.sources.items():
        if source.kind == "portfolio" and taught.parent(entity) and f"fit:{source.parent}" in known:
            result = Source(source.kind, source.name, rule=source.rule, digest=source.digest)
            parents.setdefault(result, []).append(source.parent)
    found = graph
    for source, keys in parents.items():
        node, more = _upstream(plan, source)
        edges = [Edge(node.id, f"fit:{key}", HELD) for key in keys]
        # A node of its own may be there already: two ways may lead to one result.
        there = {n.id for n in found.nodes}
        fresh = [n for n in (node, *more.nodes) if n.id not in there]
        found = Graph.of([*found.nodes, *fresh], [*found.edges, *more.edges, *edges])
    return found


def _upstream(plan: "Plan", source: Source) -> tuple[Node, Graph]:
    """A result as a node, and the results that it was built on, which lead to it."""
    result = open_result(source.name)
    asked = asked_for(plan.config.transfer.rules, source) if plan.config.transfer else source.name
    node = _node(result, asked)
    below = upstreams(result.graph)
    ids = {n.id for n in below}
    edges = [e for e in result.graph.edges if e.source in ids and e.target in ids]
    return node, Graph.of([*below, node], [*edges, *(Edge(n.id, node.id, BELOW) for n in below)])


def _node(result: Result, asked: str) -> Node:
    manifest = result.manifest
    about: dict[str, Any] = {
        "portfolio": manifest.name,
        "asked": asked,
        "folder": str(result.path),
        "run_key": manifest.run_key,
        "created": manifest.created,
        "version": result.version,
    }
    if assumed := assumptions(result):
        about["assumptions"] = assumed
    identity = digest([asked, str(result.path), manifest.run_key])
    return Node(f"{UPSTREAM}:{identity}", UPSTREAM, about)


def asked_for(rules: Iterable[Any], source: Source) -> str:
    """What the configuration calls a source: a portfolio's name, or a folder."""
    rule = None if source.rule is None else list(rules)[source.rule]
    return rule.name if rule is not None and rule.name else source.name


def upstreams(graph: Graph) -> list[Node]:
    """The nodes that stand for results of other portfolios."""
    return [node for node in graph.nodes if node.kind == UPSTREAM]


def assumptions(result: Result) -> list[str]:
    """What the configuration of a result takes for granted."""
    said = result.settings.get("assumptions") or []
    return [said] if isinstance(said, str) else [str(text) for text in said]


def steps(result: Result, entity: str | None = None) -> list[tuple[str, list[str]]]:
    """The assumptions of every step that led to a result, or to an entity's posterior, the first step first:
    portfolio, texts.
    """
    graph = result.graph if entity is None else result.lineage(entity)
    nodes = sorted(upstreams(graph), key=lambda n: str(n.attributes["created"]))
    said = [(str(n.attributes["portfolio"]), list(n.attributes.get("assumptions", ()))) for n in nodes]
    every = [*said, (result.name, assumptions(result))]
    return [step for i, step in enumerate(every) if step[1] and step not in every[:i]]
