"""The progress bar of a fit: entities done, flagged, failed, rate, time left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from posterity.portfolio.dispatch import Listener
    from posterity.portfolio.shard import Report


@contextmanager
def progress(
    total: int | None, *, console: Console | None = None, quiet: bool = False, what: str = "fitting"
) -> Iterator["Listener"]:
    """A bar over `total` entities (None: nobody knows how many), and the listener that moves it.

    Draws on stdout (or `console`) if that is a terminal and `quiet` was not asked for, else nothing at all.
    """
    screen = console or Console()
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[yellow]{task.fields[flagged]} flagged[/] [red]{task.fields[failed]} failed[/]"),
        Rate(),
        TimeRemainingColumn(compact=True),
        console=screen,
        disable=quiet or not screen.is_terminal,
    )
    seen: dict[str, Any] = {"flagged": 0, "failed": 0}
    with bar:
        task = bar.add_task(what, total=total, **seen)

        def listen(report: "Report") -> None:
            for status in seen:
                seen[status] += report.status.get(status, 0)
            bar.update(task, advance=sum(report.status.values()), **seen)

        yield listen


class Rate(ProgressColumn):
    """Entities a second."""

    def render(self, task: Task) -> Text:
        """The speed of late, blank until there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s")
