"""The lineage of a run: configuration, data, priors and code → every fit, and fits → priors → fits."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from posterity.inference.compiled import compiled
from posterity.lineage import Edge, Graph, Node, digest, versions
from posterity.portfolio.descent import continued
from posterity.portfolio.plan import Plan, entity_columns
from posterity.portfolio.prior import Prior
from posterity.portfolio.record import Record
from posterity.portfolio.refit.modes import APPROXIMATE
from posterity.portfolio.taught import DECLARED, Taught
from posterity.portfolio.upstream import with_upstreams


def lineage(plan: Plan, taught: Taught, record: Record) -> Graph:
    """Everything that the fits of a run came from. Ids are kind and digest."""
    found = with_upstreams(_of_run(plan, taught, record), plan, taught)
    return found if record.graph is None else continued(found, record)


def _of_run(plan: Plan, taught: Taught, record: Record) -> Graph:
    """What this run did: the fits of its version, and where they came from."""
    panel, config = plan.panel, plan.config
    numbers = {name: value.tolist() for name, value in plan.description.numbers.items()}
    refitted = "delivery" in record.extra
    came = {"delivery": record.extra["delivery"]} if refitted else {"source": config.data.source}
    data = {**came, "rows": panel.n_rows, "entities": len(panel.entities)}
    code = versions()
    values = config.model_dump(mode="json")
    said = {"assumptions": list(config.assumptions)} if config.assumptions else {}
    configured = _node("config", values, {"name": config.name, **said, "values": values})
    model = Node(f"model:{plan.description.key}", "model", {"levels": _levels(plan)})
    prior = _node("prior", numbers, {"source": DECLARED, "numbers": numbers})
    observed = _node("data", [str(d) for d in panel.digests], data)
    software = _node("versions", dict(code), dict(code))
    edges = [Edge(configured.id, model.id, "describes"), Edge(configured.id, prior.id, "declares")]
    sources = {model: "fitted by", prior: "prior of", observed: "observed by", software: "run by"}
    nodes = [configured, *sources]
    # What began with an earlier posterior, or with a prior from an earlier version, has that as its prior.
    replaced = _replaced(plan, taught) | {f"fit:{t.fit_key}" for t in record.taken if t.update in APPROXIMATE}
    replaced |= {f"fit:{plan.keys[entity]}" for entity in record.priors}
    for fit in _fits(plan, taught, record):
        nodes.append(fit)
        edges += [
            Edge(source.id, fit.id, relation)
            for source, relation in sources.items()
            if source is not prior or fit.id not in replaced
        ]
    more, taught_by = _transfer(plan, taught, observed, {node.id for node in nodes})
    return Graph.of([*nodes, *more], [*edges, *taught_by])


def _fits(plan: Plan, taught: Taught, record: Record) -> Iterable[Node]:
    digests = plan.panel.digests
    for row, rows_digest in zip(entity_columns(plan).to_pylist(), digests, strict=True):
        if row["entity"] in plan.panel.reasons or record.version_of(row["entity"]) != record.version:
            continue
        first, last = (None if row[k] is None else str(row[k]) for k in ("first_time", "last_time"))
        window = {"rows": row["n_rows"], "first_time": first, "last_time": last, "digest": str(rows_digest)}
        about = {"entity": row["entity"], "role": row["role"], "data": window, "version": record.version}
        about["update"] = record.update_of(row["entity"])
        if note := taught.notes.get(row["entity"]):
            about["note"] = note
        yield Node(f"fit:{row['fit_key']}", "fit", about)


def _replaced(plan: Plan, taught: Taught) -> set[str]:
    """Fits in which nothing of the declared prior is left."""
    if not taught.priors:
        return set()
    entries = compiled(plan.description).dimension
    whole = {key for key, prior in taught.priors.items() if len(prior.entries) == entries}
    return {f"fit:{plan.keys[entity]}" for entity, key in taught.used.items() if key in whole}


def _transfer(plan: Plan, taught: Taught, observed: Node, known: set[str]) -> tuple[list[Node], list[Edge]]:
    """Teachers → population → priors → fits, and parents → priors → fits."""
    nodes: dict[str, Node] = {}
    edges: set[Edge] = set()
    population = None
    if taught.population is not None:
        within = () if plan.config.transfer is None else plan.config.transfer.pool.within
        about = {"teachers": len(plan.teachers or plan.fittable), "within": list(within)}
        population = _node("population", taught.population, about)
        nodes[population.id] = population
        pooled = plan.learning.pooled
        joint = plan.config.inference.pooling == "joint"
        if joint:
            edges |= {Edge(population.id, f"fit:{plan.keys[e]}", "prior of") for e in plan.fittable}
        if pooled or joint:
            # Those that learn from it have taught it by their rows: their posteriors came later.
            edges.add(Edge(observed.id, population.id, "taught"))
        own = (f"fit:{plan.keys[e]}" for e in plan.teachers if e not in pooled)
        edges |= {Edge(fit, population.id, "taught") for fit in own}
    for key in taught.common:
        prior = taught.priors[key]
        node = Node(f"prior:{key}", "prior", _about(prior))
        nodes[node.id] = node
        if prior.source.removeprefix("own ").partition(":")[0] == "population" and population is not None:
            edges.add(Edge(population.id, node.id, "taught"))
            continue
        told = prior.provenance
        for number, parent in enumerate(told.taught_by):
            fit = f"fit:{parent}"
            if fit not in known:
                nodes.setdefault(fit, Node(fit, "fit", _elsewhere(prior, number)))
            edges.add(Edge(fit, node.id, "taught"))
    edges |= {
        Edge(f"prior:{key}", f"fit:{plan.keys[entity]}", "prior of")
        for entity, key in taught.used.items()
        if key in taught.priors
    }
    return list(nodes.values()), sorted(edges)


def _about(prior: Prior) -> dict[str, Any]:
    """A transferred prior in a few words; its file has the rest."""
    told = prior.provenance
    about = {"source": prior.source, "rows": prior.rows, "vague": prior.vague, "ess": dict(prior.ess)}
    more = {"discount": told.discount, "run": told.run, "notes": list(told.notes)}
    return about | {"teachers": len(told.taught_by)} | more


def _elsewhere(prior: Prior, number: int) -> dict[str, Any]:
    """A fit of another run, as the prior's provenance knows it."""
    told = prior.provenance
    about: dict[str, Any] = {"run": told.run}
    if number < len(told.entities):
        about["entity"] = told.entities[number]
    if number < len(told.windows):
        about["data"] = asdict(told.windows[number])
    return about


def _node(kind: str, identity: Any, attributes: dict[str, Any]) -> Node:
    return Node(f"{kind}:{digest(identity)}", kind, attributes)


def _levels(plan: Plan) -> dict[str, list[Any]]:
    """Labels of every dimension; dates and the like as text."""
    plain = (str, int, float)
    return {
        d: [x if isinstance(x, plain) else str(x) for x in labels]
        for d, labels in plan.description.levels.items()
    }
