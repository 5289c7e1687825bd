"""What is wrong at a path of a configuration, before a position in a file is known."""

import re
from dataclasses import dataclass

from posterity.config.words import quoted

MAX_FINDINGS = 200
"""More of one kind are not looked for: nobody reads them, and texts are untrusted."""

type Path = tuple[str | int, ...]
type Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a path; `at_key` points at the key instead of the value behind it."""

    path: Path
    message: str
    at_key: bool = False
    position: Position | None = None


def dotted(path: Path) -> str:
    """`("intervals", 0)` as `intervals[0]`; keys that are no plain word are quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            word = step if re.fullmatch(r"[\w-]+", step) else quoted(step)
            text += f".{word}" if text else word
    return text
