"""What a reading turned up: problems that stop it, notices that a person should see."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from posterity.errors import PanelError, Problem


@dataclass(slots=True)
class Findings:
    """Collected while a panel is read, so that one run reports everything; the layer's only mutable value."""

    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def problem(self, message: str, where: str | None = None) -> None:
        """Add a reason why the panel cannot be used; `where` names the file."""
        self.problems.append(Problem(message, None if where is None else f"{where}:"))

    def notice(self, message: str) -> None:
        """Add a sentence worth showing; the panel can still be used."""
        self.notices.append(message)

    def stop(self) -> None:
        """Raise `PanelError` with every problem so far, if there is one."""
        if self.problems:
            raise PanelError(self.problems)


def listing(values: Iterable[object], most: int = 5) -> str:
    """Quoted values joined by commas, cut with a count of the rest: `'a', 'b' and 3 more`."""
    shown = [_quoted(v) for v in values]
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(str(value)):,} characters)"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def nearest(name: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` or an empty string."""
    folded = {k.strip().casefold(): k for k in reversed(known)}
    close = get_close_matches(name.strip().casefold(), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""
