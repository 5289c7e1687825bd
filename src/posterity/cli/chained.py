"""What a person reads in the terminal about decisions, assumptions, and portfolios that build on others."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import rich
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from posterity.portfolio.plan import Plan
    from posterity.portfolio.result import Result


def planned(plan: "Plan") -> dict[str, Any]:
    """What is there of a plan already, and what its newest result says of its upstream, in plain values."""
    from posterity.portfolio.known import known

    newest = _newest(plan)
    stale = [] if newest is None else newest.stale().to_dict()
    return {"known": len(known(plan).of), **({"stale": stale} if stale else {})}


def plan(plan: "Plan") -> None:
    """What a plan assumes, and which rule decides."""
    from posterity.portfolio.actionable import words

    for text in plan.config.assumptions:
        _line("assumes", text, "cyan")
    if plan.config.actionable is not None:
        _line("decided", words(plan.config.actionable, plan.config), "cyan")


def there(plan: "Plan") -> None:
    """How much of a plan earlier results hold, and whether the newest of them is of before its upstream."""
    from posterity.portfolio.known import known

    if held := len(known(plan).of):
        left = len(plan.fittable) - held
        _line("known", f"{held:,} posteriors are in earlier results; {left:,} are left to fit", "cyan")
    newest = _newest(plan)
    for sentence in () if newest is None else newest.stale().sentences:
        _line("upstream", f"{newest.path} is of before: {sentence}", "yellow")  # type: ignore[union-attr]


def overview(result: "Result") -> dict[str, Any]:
    """The same of a result in plain values: nothing of what its configuration does not have."""
    from posterity.portfolio.actionable import counted

    marks = counted(result)
    found: dict[str, Any] = {}
    if marks is not None:
        found |= {"decided": marks.decided, "needs_data": marks.needs_data}
    if said := assumed(result):
        found["assumptions"] = said
    if upstream := result.stale().to_dict():
        found["upstream"] = upstream
    return found


def result(result: "Result") -> None:
    """How many entities are decided, and whether the result's upstream changed."""
    from posterity.portfolio.actionable import counted

    if (marks := counted(result)) is not None:
        rich.print(escape(marks.sentence))
    for sentence in result.stale().sentences:
        _line("upstream", sentence, "yellow")


def entity(result: "Result", entity: str, facts: Mapping[str, Any]) -> None:
    """Whether an entity is decided, and whether its parent changed."""
    from posterity.portfolio.actionable import words

    rule = result.config.actionable if facts.get("actionable") else None
    if rule is not None:
        width = facts["actionable_width"]
        rich.print(f"{facts['actionable']}: {'?' if width is None else f'{width:.4g}'} wide, ", end="")
        rich.print(escape(f"decided with a {words(rule, result.config)}"))
    if (why := result.stale().about(entity)) is not None:
        _line("upstream", why, "yellow")


def assumed(result: "Result", entity: str | None = None) -> list[dict[str, Any]]:
    """The assumptions of every step that led to a result, or to an entity's posterior, in plain values."""
    from posterity.portfolio.upstream import steps

    return [{"portfolio": name, "assumptions": texts} for name, texts in steps(result, entity)]


def lineage(result: "Result", entity: str) -> None:
    """What every step that led to an entity's posterior assumed, and whether its parent changed."""
    from posterity.portfolio.upstream import steps

    said = steps(result, entity)
    if said:
        rich.print("[bold]assumed on the way[/]")
    for name, texts in said:
        for text in texts:
            Console(highlight=False).print(f"  [cyan]{escape(name)}[/] {escape(text)}", soft_wrap=True)
    if (why := result.stale().about(entity)) is not None:
        _line("upstream", why, "yellow")


def _newest(plan: "Plan") -> "Result | None":
    """The newest finished result of a plan's portfolio."""
    from posterity.portfolio.manifest import RUNS
    from posterity.portfolio.newest import finished_in
    from posterity.portfolio.result import open_result

    found = finished_in(RUNS / plan.config.name)
    return open_result(found[0]) if found else None


def _line(what: str, text: str, colour: str) -> None:
    Console(highlight=False).print(f"[{colour}]{what}[/] {escape(text)}", soft_wrap=True)
