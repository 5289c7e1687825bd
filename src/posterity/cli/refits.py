"""What a person reads about a refit, and about the versions of a posterior, in the terminal."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import rich
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from posterity.cli.show import COLOURS, WORST
from posterity.panel.findings import plural
from posterity.portfolio.refit.modes import APPROXIMATE

if TYPE_CHECKING:
    from posterity.portfolio.account import Account
    from posterity.portfolio.refit.run import Refitted
    from posterity.portfolio.result import Result

ROWS = {
    "new": "after all rows known so far",
    "late": "between rows known so far; all rows of the entity were fitted again",
    "revised": "in place of rows known so far; all rows of the entity were fitted again",
    "repeated": "inside already, not counted again",
    "vanished": "known so far and left out of the delivery; all other rows were fitted again",
}
UPDATES = {
    "exact": "fitted on all rows again",
    "carry": "old posterior as the prior of the new rows",
    "reweight": "old draws weighted by the new rows",
    "reset": "carried too far off by what an audit found: exact instead",
    "fit": "first fit of a newcomer",
}


def facts(done: "Refitted", told: "Account", seconds: float) -> dict[str, Any]:
    """A refit in plain values."""
    return {
        **done.result.counts,
        **told.to_dict(),
        "result": str(done.result.path),
        "versions": [str(folder) for folder in done.versions],
        "seconds": round(seconds, 2),
    }


def refitted(done: "Refitted", told: "Account", seconds: float) -> None:
    """What a delivery brought, what was done about it, and where the new version is."""
    path = escape(str(done.result.path))
    if told.updates and done.executed is None:
        rich.print("[cyan]unchanged[/]: this delivery was taken in before; this is what it did")
    summary(done.result.name, told, done.result.counts)
    rich.print(f"{seconds:.1f} s   result in [bold]{path}[/]")
    rich.print(f"look closer: posterity show {path} ENTITY, posterity lineage {path} ENTITY")


def summary(name: str, told: "Account", counts: Mapping[str, int]) -> None:
    """What a delivery brought and what was done about it; `counts` are entities by status as of now."""
    if told.updates:
        many = told.version - told.before
        chunks = f", {many:,} chunks, a version each" if many > 1 else ""
        rich.print(f"[bold]{escape(name)}[/]: version {told.before} → [bold]{told.version}[/]{chunks}")
    else:
        rich.print(f"[cyan]unchanged[/]: the delivery brings nothing new to version {told.version}")
    _counts("rows delivered", told.rows, ROWS)
    if told.updates:
        unchanged = {"unchanged": told.unchanged} if told.unchanged else {}
        _counts(f"updates of {plural(told.updated, 'posterior')}", {**told.updates, **unchanged}, UPDATES)
    if told.drifts.audits:
        rich.print(
            f"{told.drifts.audits:,} audits: means at most {told.drifts.max_shift:.2g} sds from exact, "
            f"sds at most {told.drifts.max_ratio:.3g} times off"
        )
    _reasons("exact", "yellow", told.exact_instead)
    _reasons("left out", "red", told.left_out)
    for notice in told.notices:
        if not any(notice.startswith(entity) for entity in told.left_out):
            rich.print(f"[yellow]note[/] {escape(notice)}")
    states = ", ".join(f"[{COLOURS.get(s, 'white')}]{n:,} {s}[/]" for s, n in counts.items() if n)
    rich.print(f"all entities now: {states}")
    if told.decided:
        rich.print(escape(told.decided))


def _counts(title: str, counts: Mapping[str, int], words: Mapping[str, str]) -> None:
    if not counts:
        return
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for name, n in counts.items():
        table.add_row(f"  {n:,}", name, words.get(name, ""))
    rich.print(table)


def _reasons(what: str, colour: str, reasons: Mapping[str, str]) -> None:
    """A line for each reason, with whom it is true of."""
    by_reason: dict[str, list[str]] = {}
    for entity, reason in reasons.items():
        by_reason.setdefault(reason, []).append(entity)
    for reason, who in list(by_reason.items())[:WORST]:
        more = f" and {len(who) - 1:,} more" if len(who) > 1 else ""
        rich.print(f"[{colour}]{what}[/] {escape(who[0])}{more}: {escape(reason)}")
    if len(by_reason) > WORST:
        rich.print(
            f"[{colour}]{what}[/] for {len(by_reason) - WORST:,} more reasons; `--json` lists them all"
        )


def versions(result: "Result", entity: str) -> list[dict[str, Any]]:
    """The versions of an entity's posterior in plain values, with what changed in the configuration."""
    from posterity.portfolio.past import changes

    if not result.has("history.parquet"):
        return []
    changed = changes(result, entity)
    rows = result.history[result.history["entity"] == entity].drop(columns="entity")
    found: list[dict[str, Any]] = json.loads(rows.to_json(orient="records", date_format="iso"))
    before = None
    for row in found:
        row["prior"] = _prior(result, entity, row, before)
        row["changed"] = list(changed.get(row["version"], ()))
        before = row["version"]
    return found


def _prior(result: "Result", entity: str, row: dict[str, Any], before: int | None) -> str:
    """What an update began with, in words."""
    if row["update"] in APPROXIMATE:
        return f"posterior of version {before}"
    return str(result.entity_row(entity).get("prior") or "declared")


def chain(result: "Result", entity: str) -> None:
    """How an entity's posterior came to be: its versions, and what changed in between."""
    rows = versions(result, entity)
    if not rows:
        return
    rich.print("[bold]versions of this posterior[/]")
    console = Console(highlight=False)
    wide = max(len(f"{row['n_rows']:,}") for row in rows)
    for row in rows:
        window = f" from {_time(row['first_time'])} to {_time(row['last_time'])}" if row["first_time"] else ""
        taken = f"{row['n_rows']:>{wide},} rows, {row['new_rows']:,} taken in{window}"
        fit, parent = (row["fit_key"] or "none")[:8], (row["parent_fit_key"] or "")[:8]
        came = f", from {parent}" if parent else ""
        console.print(
            f"[cyan]{row['version']:>4}[/] [bold]{row['update']:<8}[/] {taken}; fit {fit}{came}",
            soft_wrap=True,
        )
        for line in _about(row):
            console.print(f"              {escape(line)}", soft_wrap=True)


def _about(row: Mapping[str, Any]) -> Iterator[str]:
    """What else there is to say of a version."""
    yield f"prior: {row['prior']}"
    if row["reason"]:
        yield f"why {row['update']}: {row['reason']}"
    if row["shift"] is not None:
        yield f"drift found by an audit: {row['shift']:.2g} sds, sd {row['ratio']:.3g} times off"
    for line in row["changed"]:
        yield f"configuration changed: {line}"


def _time(value: Any) -> str:
    """Midnight is the day; whole numbers, which a table with gaps holds as decimals, are whole."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return text.removesuffix("T00:00:00.000Z").removesuffix("T00:00:00.000")
