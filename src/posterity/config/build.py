"""A model of one's own: a Python function in place of quantities and likelihood."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from posterity.config.distributions import Distribution, Support
from posterity.config.families import Raw, mapping
from posterity.config.findings import Finding
from posterity.config.priors import Names, Section
from posterity.config.scope import Scope
from posterity.config.words import listed

OWN = r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$"
SUPPORTS = {
    "real": Support.REAL,
    "positive": Support.POSITIVE,
    "nonnegative": Support.NONNEGATIVE,
    "unit": Support.UNIT,
    "count": Support.COUNT,
    "binary": Support.BINARY,
    "category": Support.CATEGORY,
}
COUNTS = (Support.COUNT, Support.BINARY, Support.CATEGORY)
REPLACED = ("likelihood", "quantities", "history")


MOST_COLUMNS = 10_000
_RANGE = re.compile(r"([^{}]*)\{(\d{1,9})\.\.(\d{1,9})\}([^{}]*)")


def spread(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names in which a range stands for each of its numbers, as in shells: `x{1..3}` for x1, x2 and x3.
    Numbers have as many digits as the first one.
    """
    found: list[str] = []
    for name in names:
        if (match := _RANGE.fullmatch(name)) is None:
            found.append(name)
            continue
        before, first, last, after = match.groups()
        if not 0 <= int(last) - int(first) < MOST_COLUMNS:
            raise PydanticCustomError(
                "range", f"{name!r} is no range of 1 to {MOST_COLUMNS:,} names; write it as x{{1..9}}"
            )
        found += [f"{before}{i:0{len(first)}d}{after}" for i in range(int(first), int(last) + 1)]
    return tuple(found)


class Build(Section):
    """A function that adds the observed variable to a PyMC model, given data and priors.

    `package.module:function` alone is short for a mapping with `function`.
    """

    function: Annotated[
        str, Field(pattern=OWN), WithJsonSchema({"type": "string", "pattern": r"^[\w.]+:\w+$"})
    ]
    """`package.module:function`, called as `function(data, priors)`."""

    columns: Annotated[Names, AfterValidator(spread)] = ()
    """Columns of numbers that it reads, besides the target and the time column. `pixel_{00..63}` stands for
    64 names."""

    target: Literal["real", "positive", "nonnegative", "unit", "count", "binary", "category"] = "real"
    """Values that the target can have; others are told before anything is fitted."""

    lookback: Literal["all"] | Annotated[int, Field(ge=0)] = 0
    """How many rows before a row its distribution depends on, or all."""

    @property
    def family(self) -> Distribution:
        """What is known of the target's distribution: the values it can have."""
        support = SUPPORTS[self.target]
        return Distribution("build", (), (), ((),), support, support in COUNTS)


def spelt_out(value: Any) -> Any:
    """The short form as the long one."""
    return {"function": value} if isinstance(value, str) else value


def findings(model: Raw, scope: Scope, pooling: object) -> Iterator[Finding]:
    """What stands beside `build` and cannot; notes in `scope` that a function reads the names."""
    build = model.get("build")
    if build is None:
        if "likelihood" not in model:
            yield Finding(
                ("model", "likelihood"),
                "is missing: how the target scatters around the quantities; or `build: "
                "package.module:function`, a model of your own",
                at_key=True,
            )
        return
    scope.opaque = True
    if beside := [key for key in REPLACED if model.get(key)]:
        yield Finding(
            ("model", "build"),
            f"stands beside {listed(beside, 'and')}; the function makes all of that, so leave it out",
            at_key=True,
        )
    if not scope.parameters:
        yield Finding(
            ("model", "build"),
            "the model has no parameters, so there is nothing to learn; declare a prior for each under "
            "model.parameters",
            at_key=True,
        )
    if pooling == "joint":
        yield Finding(
            ("model", "build"),
            "found, but a joint model is made row by row, which a function's model is not; leave out "
            "`inference.pooling: joint`",
            at_key=True,
        )
    if mapping(build).get("lookback") and scope.time is None:
        yield Finding(("model", "build", "lookback"), "the rows before need data.time, which orders the rows")
    columns = mapping(build).get("columns")
    named = [columns] if isinstance(columns, str) else columns if isinstance(columns, list | tuple) else []
    for column in named:
        if column in (scope.target, scope.time):
            yield Finding(
                ("model", "build", "columns"), f"{column!r} is given to the function anyway; leave it out"
            )
        elif column in scope.parameters:
            yield Finding(("model", "build", "columns"), f"{column!r} is a parameter, and no column")
