"""Numbers that a model makes from the rows before: the section, and what can be wrong with its names."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from posterity.config.families import Raw
from posterity.config.findings import Finding, Path
from posterity.config.priors import Name, Section
from posterity.config.scope import Scope
from posterity.config.words import listed, meant, quoted

Positive = Annotated[float, Field(gt=0)]


class Memory(Section):
    """A number made from the rows before a row: the last value, or an average in which old rows fade."""

    of: Name
    """The column it is made from: an input, the target or the time column."""

    transform: Literal["log", "log1p", "sqrt"] | None = None
    """A function applied to the column first."""

    change: bool = False
    """Whether the change since the row before, per unit of time, is meant instead of the value."""

    half_life: Positive | None = None
    """Units of time in which a row's share in the average halves; absent: the row before alone."""

    start: float | Name | None = None
    """What stands there before any row is known: a number or a parameter. Without it an entity's first row is
    taken as given: others are explained by it, and it is not explained itself."""


def findings(scope: Scope, pooling: object) -> Iterator[Finding]:
    """What is wrong with the names in `model.history`; notes in `scope` which parameters it uses."""
    if scope.history and scope.time is None:
        yield Finding(
            ("model", "history"), "the rows before need data.time, which orders the rows", at_key=True
        )
    if scope.history and pooling == "joint":
        yield Finding(
            ("model", "history"),
            "found, but a joint model knows no rows before; leave out `inference.pooling: joint`",
            at_key=True,
        )
    for name, spec in scope.history.items():
        if isinstance(spec, Mapping):
            yield from _memory(("model", "history", name), spec, scope)


def _memory(path: Path, spec: Raw, scope: Scope) -> Iterator[Finding]:
    of, start = spec.get("of"), spec.get("start")
    if isinstance(of, str) and (of in scope.parameters or of in scope.quantities or of in scope.history):
        yield Finding(
            (*path, "of"),
            f"{of!r} is a parameter, quantity or part of the history; allowed: a column of the panel",
        )
    needs = spec.get("half_life") is not None or spec.get("change") is True
    if start is None and needs:
        yield Finding(
            path,
            "start is missing: before there are rows there is no average and no change; "
            "allowed: a number, or a parameter to be learned",
            at_key=True,
        )
    if isinstance(start, str):
        scope.used.add(start)
        if start not in scope.parameters:
            yield Finding(
                (*path, "start"),
                f"{quoted(start)} is no parameter; allowed: a number or one of "
                f"{listed(scope.parameters)}{meant(start, scope.parameters)}",
            )
        elif scope.dims(start):
            yield Finding((*path, "start"), f"{start!r} is a vector; a start is one number")


def unused(scope: Scope) -> Iterator[Finding]:
    """Parts of the history that no quantity and no likelihood reads."""
    if scope.opaque:
        return
    for name in scope.history:
        if name not in scope.used:
            yield Finding(
                ("model", "history", name),
                f"no quantity and no likelihood uses {name!r}; use it or leave it out",
                at_key=True,
            )
