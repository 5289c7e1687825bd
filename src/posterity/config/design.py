"""What a formula learned from the rows it was first fitted to, in plain values."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from posterity.config.frozen import FrozenDict
from posterity.config.section import Frozen, Name, Section, listed_values


def _nested(value: Any) -> Any:
    """Lists of any depth as tuples."""
    return tuple(map(_nested, value)) if isinstance(value, list | tuple) else value


Numbers = bool | int | float | tuple[float, ...] | tuple[tuple[float, ...], ...]
State = Annotated[Annotated[Numbers, Field(union_mode="left_to_right")], BeforeValidator(_nested)]
Level = Annotated[int | float | str, Field(union_mode="left_to_right")]
Levels = Annotated[
    dict[str, Annotated[tuple[Level, ...], Field(min_length=1), BeforeValidator(listed_values)]],
    Frozen,
    WithJsonSchema({"type": "object"}),
]
Texts = Annotated[tuple[str, ...], BeforeValidator(listed_values)]


class DesignTerm(Section):
    """A term with its parameter."""

    name: str
    """As formulae prints it."""

    parameter: Name
    """Its parameter under `model.parameters`."""

    parts: Texts = ()
    """What is multiplied; nothing for an intercept."""

    full: Texts = ()
    """Which of the parts are categories with a column for each level, instead of all but one."""

    by: Texts = ()
    """Columns whose levels have coefficients of their own."""


class Design(Section):
    """What a formula learned from the rows it was first fitted to: levels of categories, means, knots.

    Written by a fit into its resolved configuration, so that the same columns are made of other rows.
    """

    terms: Annotated[tuple[DesignTerm, ...], Field(min_length=1), BeforeValidator(listed_values)]
    """The terms that have a coefficient."""

    offsets: Texts = ()
    """What is added as it is."""

    levels: Levels = Field(default_factory=FrozenDict)
    """Levels of every part that is a category."""

    groups: Levels = Field(default_factory=FrozenDict)
    """Levels of every column that stands right of a bar."""

    states: Annotated[
        dict[str, Annotated[dict[str, State], Frozen]], Frozen, WithJsonSchema({"type": "object"})
    ] = Field(default_factory=FrozenDict)
    """What transforms such as `center(price)` or `bs(week, df=6)` remember."""
