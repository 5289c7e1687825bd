"""Earlier versions of a result: found again, and put into the lineage of what came of them.

Every version lies in a folder of its own and names the folder and run key of the one before. A folder that
was moved is looked for where the versions of one delivery or of one portfolio lie together.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posterity.errors import ResultError
from posterity.lineage import Edge, Graph
from posterity.portfolio.descent import chain, differences, joined
from posterity.portfolio.ledger import HISTORY
from posterity.portfolio.manifest import RUNS, published
from posterity.portfolio.newest import finished_in
from posterity.portfolio.result import Result, open_result

if TYPE_CHECKING:
    import pandas as pd

VERSIONS = "versions"
"""Folder inside that of a delivery's last version which holds those between."""

CONFIGURED = "configured"


def as_of(result: Result, version: int) -> Result:
    """The result as it was at a version, from the folder it has been in.

    Raises ResultError for a version that there is none of, and where a folder on the way is gone.
    """
    if not 1 <= version <= result.version:
        there = "there is that one only" if result.version == 1 else f"versions are 1 to {result.version}"
        raise ResultError(
            f"{result.path}: is version {result.version} and knows no version {version}; {there}"
        )
    found = result
    while found.version > version:
        found = _parent(found, result, version)
    return found


def _parent(result: Result, asked: Result, version: int) -> Result:
    """The version that a result was made from."""
    told = result.manifest.extra.get("parent")
    if not isinstance(told, Mapping) or not told.get("run_key"):
        raise ResultError(f"{result.path}: its manifest does not say what version {result.version} came from")
    before = Path(str(told.get("path", "")))
    for folder in _places(result, asked, before, str(told["run_key"])):
        if published(folder):
            found = open_result(folder)
            if found.manifest.run_key == told["run_key"]:
                return found
    raise ResultError(
        f"{asked.path}: version {version} cannot be opened, as version {told.get('version')} was in {before} "
        f"and is not there any more; bring that folder back (its run key begins with "
        f"{str(told['run_key'])[:12]}; the MLflow run with this tag `run_key` holds its files), or ask for a "
        f"version from {result.version} on"
    )


def _places(result: Result, asked: Result, before: Path, run_key: str) -> Iterator[Path]:
    """Where the version before may be: where it was, or beside its successor if both were moved."""
    yield before
    number = str(result.manifest.extra["parent"].get("version"))
    for folder in dict.fromkeys((result.path.absolute(), asked.path.absolute())):
        yield folder / VERSIONS / number
        yield folder.parent / number
        yield folder.parent / before.name
        yield folder.parent / run_key[:12]
        if folder.parent.name == VERSIONS:
            yield folder.parents[2] / before.name


def latest(name: str, runs: Path = RUNS) -> Result:
    """The newest result of a portfolio under `runs`; of those of one second, the highest version.

    Raises ResultError where there is none.
    """
    folders = finished_in(runs / name)
    if not folders:
        raise ResultError(
            f"{runs / name}: no result of {name!r} yet, so there is nothing to refit; fit it first, or name "
            "the folder of a result"
        )
    return open_result(folders[0])


def added(result: Result) -> "pd.DataFrame":
    """The rows of `history` that this version itself added; none where a delivery brought nothing new."""
    parent = result.manifest.extra.get("parent") or {}
    if not result.has(HISTORY):
        return result.entities.iloc[:0][["entity"]].assign(update=[])
    own = result.history["version"] == result.version
    return result.history[own & (parent.get("version") != result.version)]


def lineage(result: Result, entity: str) -> Graph:
    """The part of a result's graph that leads to an entity's posterior, joined with all versions of it.

    Fits of earlier versions come with the configuration they were made by.
    """
    key = result.entity_row(entity)["fit_key"]
    graph = result.graph
    node = next((n.id for n in graph.nodes if key and (n.id == key or n.id.endswith(f":{key}"))), None)
    if node is None:
        raise ResultError(
            f"{result.path / 'lineage.json'}: knows no fit {key!r} of entity {entity[:60]!r}; "
            "a failed entity has no posterior"
        )
    own = graph.history(node)
    if not result.has(HISTORY):
        return own
    past = chain(result, entity)
    there, known = {n.id for n in own.nodes}, {n.id: n for n in graph.nodes}
    configs = {n.id: f"config:{n.attributes.get('config')}" for n in past.nodes}
    made = {fit: config for fit, config in configs.items() if config in known and fit not in there}
    nodes = {config: known[config] for config in made.values()}
    edges = [Edge(config, fit, CONFIGURED) for fit, config in made.items()]
    before = [n for n in past.nodes if n.id not in nodes]
    return joined(own, Graph.of([*before, *nodes.values()], [*past.edges, *edges]))


def changes(result: Result, entity: str) -> dict[int, tuple[str, ...]]:
    """By version of an entity's posterior, what differs in its configuration from that of the one before."""
    rows = result.entity_table(HISTORY, entity).to_pylist()
    values: Mapping[str, Any] = {
        n.id: n.attributes.get("values") or {} for n in result.graph.nodes if n.kind == "config"
    }
    found = {}
    for before, after in pairwise(rows):
        old, new = (values.get(f"config:{row['config']}") for row in (before, after))
        if before["config"] == after["config"]:
            continue
        known = old is not None and new is not None
        found[after["version"]] = (
            tuple(differences(old, new))  # type: ignore[arg-type]
            if known
            else ("another configuration, of which lineage.json holds no values",)
        )
    return found
