"""What a flow run leaves in Prefect's pages: progress, a table of the result, and the way to MLflow."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.outcome import Outcome, Tracked

if TYPE_CHECKING:
    from posterity.portfolio.result import Result
    from posterity.portfolio.shard import Report

ROWS = 50
"""Entities listed at most: the page is for a glance, the result has them all."""


@dataclass
class Progress:
    """A progress artifact that follows shards; a listener of `execute`."""

    name: str
    total: int
    done: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"ok": 0, "flagged": 0, "failed": 0})

    def __post_init__(self) -> None:
        made = create_progress_artifact(self._percent, key=key(self.name, "progress"), description=self._text)
        self._id: UUID = made  # type: ignore[assignment]

    def __call__(self, report: "Report") -> None:
        """Add a shard."""
        for status, n in report.status.items():
            self.counts[status] = self.counts.get(status, 0) + n
        self.done = sum(self.counts.values())
        update_progress_artifact(self._id, self._percent, self._text)

    @property
    def _percent(self) -> float:
        return 100.0 * self.done / self.total if self.total else 100.0

    @property
    def _text(self) -> str:
        words = ", ".join(f"{n:,} {status}" for status, n in self.counts.items() if n)
        return f"{self.name}: {self.done:,} of {self.total:,} entities{f' ({words})' if words else ''}"


def table(outcome: Outcome, result: "Result") -> None:
    """Failed and flagged entities first, with their reasons; the counts above."""
    worst = result.entities[result.entities["status"].isin(["failed", "flagged"])]
    order = worst["status"].map({"failed": 0, "flagged": 1})
    worst = worst.assign(order=order).sort_values(["order", "entity"], kind="stable").head(ROWS)
    columns = ["entity", "status", "reason", "method", "n_rows", "rhat", "ess_bulk", "khat", "divergences"]
    rows = [
        {name: cell(row[name]) for name in columns if name in row} for row in worst.to_dict(orient="records")
    ]
    listed = f", of which {len(rows)} are listed" if len(rows) == ROWS else ""
    text = f"**{outcome.name}**: {outcome.sentence}{listed}. Result: `{outcome.result}`"
    create_table_artifact(
        rows or [{"entity": "all", "status": "ok"}], key=key(outcome.name, "result"), description=text
    )


def tracking(name: str, tracked: Tracked) -> None:
    """A link to the MLflow run; where no server shows it, the command that starts one as well."""
    if not tracked.command:
        create_link_artifact(tracked.page, link_text=f"{name} in MLflow", key=key(name, "mlflow"))
        return
    text = (
        f"Run `{tracked.run_id}` of experiment **{tracked.experiment}** in `{tracked.uri}`.\n\n"
        f"    {tracked.command}\n\nmakes [its page]({tracked.page}) answer."
    )
    create_markdown_artifact(text, key=key(name, "mlflow"), description="Where MLflow keeps this run")


def key(name: str, kind: str) -> str:
    """An artifact's key: letters, digits and dashes are all that Prefect takes."""
    return f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-') or 'portfolio'}-{kind}"


def cell(value: Any) -> Any:
    """A value for a table on a page."""
    if isinstance(value, float):
        return None if value != value else float(f"{value:.4g}")
    return value if value is None or isinstance(value, str | int) else str(value)
