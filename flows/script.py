"""What the flows' command lines share: how they are set up, what ends them, and their exit codes."""

import sys
from collections.abc import Mapping
from typing import Any

from cyclopts import App
from prefect.exceptions import ParameterTypeError, TerminationSignal
from rich.console import Console
from rich.markup import escape

from posterity.errors import PosterityError


def script(name: str, help: str) -> App:
    """The command line of `python flows/NAME.py`."""
    return App(
        name=f"python flows/{name}.py",
        help=help,
        version_flags=(),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )


def run(app: App) -> int:
    """Run a command line; the exit code."""
    try:
        code: int = app()
    except (PosterityError, ParameterTypeError) as error:
        print(error, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, TerminationSignal) as stop:
        print("\nstopped; run the same command again and it goes on where it was", file=sys.stderr)
        return 130 if isinstance(stop, KeyboardInterrupt) else 143
    return code


def value_of(state: Any) -> Any:
    """What a flow run came to; raises what it failed with."""
    value = state.result(raise_on_failure=False)
    if isinstance(value, BaseException):
        raise value
    return value


def show_facts(facts: Mapping[str, str], console: Console) -> None:
    """A line for each fact there is. Not wrapped: commands and paths are copied from here."""
    for name, fact in facts.items():
        if fact:
            console.print(f"[dim]{name:<8}[/] {escape(fact)}", soft_wrap=True, highlight=False)
