"""What runs say of decisions, of assumptions, and of portfolios that build on others."""

from posterity.portfolio.actionable import counted
from posterity.portfolio.result import Result
from posterity.portfolio.upstream import steps, upstreams
from posterity.tracking.entity import plain
from posterity.tracking.tracker import TAG_CHARACTERS


def metrics(result: Result) -> dict[str, float]:
    """Of the portfolio's run: entities that are decided and that need more data, where there is a rule."""
    marks = counted(result)
    return {} if marks is None else {"decided": float(marks.decided), "needs_data": float(marks.needs_data)}


def tags(result: Result) -> dict[str, str]:
    """Of the portfolio's run: the rule, what every step assumed, and the results that it was built on."""
    found = {}
    if (marks := counted(result)) is not None:
        found["actionable"] = marks.rule
    if said := steps(result):
        texts = [f"{name}: {text}" for name, assumed in said for text in assumed]
        found["assumptions"] = "\n".join(texts)[:TAG_CHARACTERS]
    if built := upstreams(result.graph):
        found["upstream"] = ", ".join(str(n.attributes["folder"]) for n in built)[:TAG_CHARACTERS]
        found["upstream_run_keys"] = ", ".join(str(n.attributes["run_key"]) for n in built)[:TAG_CHARACTERS]
    return found


def note(result: Result) -> list[str]:
    """Lines of the portfolio's page."""
    lines = []
    if (marks := counted(result)) is not None:
        rest = f"{marks.needs_data:,} need more data ({plain(marks.rule, 200)})"
        lines.append(f"- **{marks.decided:,}** decided, {rest}")
    lines += [f"- built on {plain(str(n.attributes['folder']), 200)}" for n in upstreams(result.graph)]
    lines += [f"- upstream changed: {plain(text, 400)}" for text in result.stale().sentences]
    for name, texts in steps(result):
        lines += [f"- {plain(name, 100)} assumes: {plain(text, 400)}" for text in texts]
    return lines
