"""What all sections of a configuration have in common: strictness, and the types of names and lists."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from posterity.config.frozen import FrozenDict


class Section(BaseModel):
    """A part of a configuration: strict types, no unknown keys, unchangeable."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )


def listed_values(value: Any) -> Any:
    """YAML's lists as tuples, which cannot be changed."""
    return tuple(value) if isinstance(value, list) else value


def one_or_more(value: Any) -> Any:
    """A single text as a list of one."""
    return (value,) if isinstance(value, str) else listed_values(value)


Words = StringConstraints(min_length=1, max_length=200)
Name = Annotated[str, Words]
Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(one_or_more),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "uniqueItems": True}]}
    ),
]
"""A tuple of names; one name may be written without brackets."""

Numbers = Annotated[tuple[float, ...], Field(min_length=1), BeforeValidator(listed_values)]
Frozen = AfterValidator(FrozenDict)
