"""What a refit leaves in Prefect's pages: a table of updates, and what to know of the delivery."""

from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.artifacts import ROWS, cell, key

if TYPE_CHECKING:
    from posterity.portfolio.account import Account
    from posterity.portfolio.result import Result

COLUMNS = ("entity", "version", "update", "new_rows", "n_rows", "shift", "ratio", "reason")


def table(name: str, told: "Account", result: "Result") -> None:
    """Updates, those with something to say first."""
    rows = [*left_out(told), *updates(told, result)]
    listed = f"; {ROWS} of {len(rows):,} are listed" if len(rows) > ROWS else ""
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in told.rows.items()) or "no"
    text = f"**{name}**: {told.sentence}. Delivered: {kinds} rows{listed}. Result: `{result.path}`"
    nothing = [{"entity": "all", "update": "unchanged"}]
    shown = [{column: cell(row.get(column)) for column in COLUMNS} for row in rows[:ROWS]]
    create_table_artifact(shown or nothing, key=key(name, "refit"), description=text)


def left_out(told: "Account") -> list[dict[str, Any]]:
    """Entities whose rows were not taken."""
    return [{"entity": e, "update": "left out", "reason": why} for e, why in told.left_out.items()]


def updates(told: "Account", result: "Result") -> list[dict[str, Any]]:
    """Updates since the version before, those with a reason or an audit first."""
    since = result.history[result.history["version"] > told.before]
    said = since["reason"].notna() | since["shift"].notna()
    ordered = since.assign(plain=~said).sort_values(["plain", "version", "entity"], kind="stable")
    return [{str(k): v for k, v in row.items()} for row in ordered.to_dict("records")]


def notices(name: str, told: "Account") -> None:
    """Late, revised, vanished and repeated rows, in sentences."""
    if not told.notices and not told.drifts.audits:
        return
    lines = [f"- {notice}" for notice in told.notices]
    if told.drifts.audits:
        lines.append(
            f"- {told.drifts.audits:,} audits: means at most {told.drifts.max_shift:.2g} sds from exact, "
            f"sds at most {told.drifts.max_ratio:.3g} times off"
        )
    create_markdown_artifact("\n".join(lines), key=key(name, "notices"), description="What to know of it")
