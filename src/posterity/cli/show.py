"""What a person reads in the terminal. Everything shown is also there as plain values for `--json`."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import rich
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from posterity.cli import chained
from posterity.config.schema import percent
from posterity.portfolio.refit.modes import APPROXIMATE

if TYPE_CHECKING:
    from posterity.lineage.graph import Graph
    from posterity.portfolio.plan import Plan
    from posterity.portfolio.portfolio import Run
    from posterity.portfolio.result import Result

COLOURS = {"ok": "green", "flagged": "yellow", "failed": "red", "unchanged": "cyan"}
WORST = 10
MOST_TEACHERS = 3
WHAT = {
    "declared": "fit",
    "established": "fit the established",
    "population": "learn the population",
    "pooled": "fit the established under it",
    "new": "fit the new",
    "children": "fit the children of entities",
    "joint": "fit everybody in one model",
}


def as_json(values: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    print(json.dumps(values, default=str, allow_nan=False))


def planned(plan: "Plan") -> dict[str, Any]:
    """A plan in plain values."""
    return {
        **plan.summary(),
        "waves": plan.steps(),
        "sources": plan.origins(),
        "notices": list(plan.panel.notices),
        "fallbacks": dict(plan.learning.notes),
        "reasons": dict(plan.panel.reasons),
        "run_key": plan.run_key,
        **plan.said,
        **chained.planned(plan),
    }


def waves(plan: "Plan") -> None:
    """The waves of a plan: who is fitted when, and what they learn from."""
    table = Table(header_style="bold")
    for name in ("wave", "what"):
        table.add_column(name, no_wrap=True)
    table.add_column("entities", justify="right")
    table.add_column("from", overflow="fold")
    for number, step in enumerate(plan.steps(), start=1):
        sources = [name if n == step["entities"] else f"{name} ({n:,})" for name, n in step["from"].items()]
        more = f" and {len(sources) - WORST:,} more" if len(sources) > WORST else ""
        what = WHAT.get(step["wave"], f"fit {step['wave']}")
        table.add_row(str(number), what, f"{step['entities']:,}", escape(", ".join(sources[:WORST]) + more))
    rich.print(table)


def plan(plan: "Plan", *, before: bool = False) -> None:
    """What will be fitted, and what cannot be; `before` anything is done also what is there already."""
    summary = plan.summary()
    rich.print(
        f"[bold]{escape(plan.config.name)}[/]: {summary['entities']:,} entities, {summary['rows']:,} rows; "
        f"{summary['established']:,} established, {summary['new']:,} new; "
        f"method {plan.config.inference.method}"
    )
    if len(plan.waves) > 1 or any(source != "declared" for source in plan.origins()):
        waves(plan)
    for notice in plan.panel.notices[1:]:
        rich.print(f"[yellow]note[/] {escape(notice)}")
    chained.plan(plan)
    if before:
        chained.there(plan)
    reasons = list(plan.panel.reasons.items())
    for entity, reason in reasons[:WORST]:
        rich.print(f"[red]cannot be fitted[/] {escape(entity)}: {escape(reason)}")
    if len(reasons) > WORST:
        rich.print(
            f"[red]cannot be fitted[/] {len(reasons) - WORST:,} more; `posterity check --json` lists them all"
        )


def run(run: "Run", seconds: float) -> None:
    """How a run ended and where its result is."""
    if run.executed is None:
        rich.print(
            f"[cyan]unchanged[/]: {run.counts['unchanged']:,} entities have the same inputs as before; "
            "nothing to do"
        )
    elif run.executed.resumed:
        rich.print(f"{run.executed.resumed:,} entities were there from a run that was stopped")
    if run.executed is not None and run.executed.known:
        same = run.counts["unchanged"]
        rich.print(f"[cyan]unchanged[/]: {same:,} posteriors are those of earlier results, by their fit keys")
    result(run.result)
    rich.print(f"{seconds:.1f} s   result in [bold]{escape(str(run.result.path))}[/]")
    rich.print(f"look closer: posterity show {escape(str(run.result.path))} ENTITY")


def overview(result: "Result") -> dict[str, Any]:
    """A result in a few numbers."""
    entities = result.entities
    coverage = {
        f"coverage_{percent(mass)}": _weighted(entities, f"coverage_{percent(mass)}")
        for mass in result.config.intervals
    }
    return {
        "name": result.name,
        "path": str(result.path),
        **dict(result.counts),
        "methods": {k: int(v) for k, v in entities["method"].value_counts().items()},
        **coverage,
        "mae": _weighted(entities, "mae"),
        **chained.overview(result),
    }


def result(result: "Result") -> None:
    """Counts by status and method, coverage, and the entities that need a look."""
    facts = overview(result)
    table = Table(title=escape(f"{result.name}"), title_justify="left", show_header=True, header_style="bold")
    for status in ("ok", "flagged", "failed"):
        table.add_column(status, justify="right", style=COLOURS[status])
    shares = [f"coverage_{percent(mass)}" for mass in result.config.intervals]
    inside = [f"in {100 * mass:g} %" for mass in result.config.intervals]
    for name in ("methods", *inside, "MAE"):
        table.add_column(name, justify="right")
    methods = ", ".join(f"{m} {n:,}" for m, n in facts["methods"].items())
    numbers = [facts[s] for s in shares]
    table.add_row(
        *(f"{result.counts.get(s, 0):,}" for s in ("ok", "flagged", "failed")),
        methods,
        *("" if v is None else f"{100 * v:.1f} %" for v in numbers),
        "" if facts["mae"] is None else f"{facts['mae']:.4g}",
    )
    rich.print(table)
    chained.result(result)
    troubled = result.entities[result.entities["status"] != "ok"].sort_values("status")
    for row in troubled.head(WORST).to_dict("records"):
        rich.print(
            f"[{COLOURS[row['status']]}]{row['status']}[/] {escape(row['entity'])}: "
            f"{escape(str(row['reason']))}"
        )
    if len(troubled) > WORST:
        rich.print(f"{len(troubled) - WORST:,} more in {escape(str(result.path / 'entities.parquet'))}")


def about(result: "Result", entity: str) -> dict[str, Any]:
    """Everything the tables say about one entity."""
    parameters = result.parameters[result.parameters["entity"] == entity].drop(columns="entity")
    rows = json.loads(parameters.to_json(orient="records"))
    return {**result.entity_row(entity), "parameters": rows}


def entity(result: "Result", entity: str) -> None:
    """One entity: its fit and its parameters."""
    facts = about(result, entity)
    rich.print(
        f"[bold]{escape(entity)}[/] [{COLOURS[facts['status']]}]{facts['status']}[/] "
        f"by {facts['method']}, {facts['role']}"
    )
    if facts["reason"]:
        rich.print(escape(facts["reason"]))
    rich.print(
        f"{facts['n_rows']:,} rows, {facts['first_time']} to {facts['last_time']}; "
        f"prior {escape(_prior(facts))}{_of_prior(facts)}"
    )
    chained.entity(result, entity, facts)
    mass = max(result.config.intervals)
    chains = any(row["rhat"] is not None for row in facts["parameters"])
    table = Table(header_style="bold")
    table.add_column("parameter", no_wrap=True)
    for name in ("mean", "sd", f"{100 * mass:g} % interval", "ESS", *(["R-hat"] if chains else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for row in facts["parameters"]:
        bounds = f"{row[f'lower_{percent(mass)}']:.4g} … {row[f'upper_{percent(mass)}']:.4g}"
        ess = f"{min(row['ess_bulk'], row['ess_tail']):,.0f}"
        numbers = [_number(row["mean"]), _number(row["sd"]), bounds, ess]
        table.add_row(escape(row["parameter"]), *numbers, *([_number(row["rhat"])] if chains else []))
    Console().print(table)


def _prior(facts: Mapping[str, Any]) -> str:
    """What the posterior began with; a carried one with the posterior before."""
    if facts.get("update") in APPROXIMATE:
        return f"the posterior before, which began with {facts['prior']}"
    return str(facts["prior"])


def _of_prior(facts: Mapping[str, Any]) -> str:
    """How a transferred prior and the rows get on."""
    parts = []
    if facts.get("prior_rows") is not None:
        parts.append(f"worth {facts['prior_rows']:.3g} rows")
    if facts.get("conflict_p") is not None:
        parts.append(f"conflict p {facts['conflict_p']:.2g}")
    if facts.get("vague_weight") is not None:
        parts.append(f"posterior weight of its vague part {facts['vague_weight']:.2g}")
    return f" ({', '.join(parts)})" if parts else ""


def lineage(graph: "Graph", entity: str) -> None:
    """What an entity's posterior came from."""
    rich.print(f"[bold]{escape(entity)}[/] came from")
    teachers = _teachers(graph, entity)
    for node in graph.nodes:
        if node in teachers[MOST_TEACHERS:]:
            continue
        if len(teachers) > MOST_TEACHERS and node == teachers[0]:
            Console().print(f"[dim]{len(teachers):,} entities taught, {MOST_TEACHERS} of them shown[/]")
        Console().print(f"[cyan]{node.kind}[/] {escape(node.id.partition(':')[2][:12])}")
        facts = {k: v for k, v in node.attributes.items() if v not in (None, {}, [])}
        if node.kind == "config":  # as long as the file
            facts["values"] = "in config.yaml; --json prints them"
        facts.pop("assumptions", None)  # those of all steps are told at the end
        for name, value in ({"": facts} if node.kind == "versions" else facts).items():
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value
            Console().print(
                f"  {name}: {escape(str(shown))}" if name else f"  {shown}", soft_wrap=True, highlight=False
            )


def _teachers(graph: "Graph", entity: str) -> list[Any]:
    """Fits of other entities, of which the first few are printed."""
    return [n for n in graph.nodes if n.kind == "fit" and n.attributes.get("entity") != entity]


def _weighted(entities: Any, column: str) -> float | None:
    """Mean over rows rather than entities."""
    known = entities[entities[column].notna()]
    return float((known[column] * known["n_rows"]).sum() / known["n_rows"].sum()) if len(known) else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
