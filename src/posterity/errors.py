"""Everything Posterity raises on purpose.

    PosterityError
    ├── ConfigError     the configuration says something impossible
    ├── PanelError      the data cannot be used as they are
    ├── ModelError      a described model cannot be built
    ├── ResultError     a result folder is missing, incomplete or damaged
    ├── RunnerError     the machinery that runs fits broke (not the fits themselves)
    └── TrackingError   what a tracker was told does not fit, or its place cannot be reached

A statistical failure is none of these: it is a value with a reason (`posterity.inference.Failure`).
`ConfigError` and `PanelError` carry every problem found, so that one run shows them all. Every error pickles.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what was found, what is allowed, what to do; `where` is a position in a
    file.
    """

    message: str
    where: str | None = None

    def __str__(self) -> str:
        return f"{self.where} {self.message}" if self.where else self.message


class PosterityError(Exception):
    """Root of the tree."""


class _ProblemsError(PosterityError):
    def __init__(self, problems: Iterable[Problem | str]) -> None:
        self.problems = tuple(p if isinstance(p, Problem) else Problem(p) for p in problems)
        super().__init__("\n".join(str(p) for p in self.problems))

    def __reduce__(self) -> tuple[type, tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class ConfigError(_ProblemsError):
    """The configuration cannot be used; `problems` lists every reason with its position."""


class PanelError(_ProblemsError):
    """The panel cannot be used; `problems` lists every reason with its counts."""


class ModelError(PosterityError):
    """A described model cannot be built or compiled."""


class ResultError(PosterityError):
    """A result folder is missing, incomplete, damaged, or belongs to other inputs."""


class RunnerError(PosterityError):
    """Workers kept dying for a reason that no single entity explains."""


class TrackingError(PosterityError):
    """A tracker cannot be reached, or was told something that does not fit what it knows."""
