"""Priors, quantities and likelihoods as a configuration describes them; nothing here builds a model."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_serializer,
    model_validator,
)

from posterity.config.curves import BUILTIN_CURVES
from posterity.config.design import Design
from posterity.config.distributions import DISTRIBUTIONS, TRANSFORMS
from posterity.config.frozen import FrozenDict
from posterity.config.section import Frozen as Frozen
from posterity.config.section import Name as Name
from posterity.config.section import Names as Names
from posterity.config.section import Numbers
from posterity.config.section import Section as Section
from posterity.config.section import listed_values as listed_values
from posterity.config.section import one_or_more as one_or_more


def _kind(value: Any) -> str:
    match value:
        case str():
            return "<name>"
        case list() | tuple():
            return "<numbers>"
        case dict() | BaseModel():
            return "<prior>"
        case int() if not isinstance(value, bool):
            return "<whole>"
        case _:
            return "<number>"


DistributionName = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(DISTRIBUTIONS)})]
Transform = Annotated[str, WithJsonSchema({"type": "string", "enum": list(TRANSFORMS)})]
FunctionName = Annotated[
    str,
    WithJsonSchema(
        {"anyOf": [{"enum": sorted(BUILTIN_CURVES)}, {"type": "string", "pattern": r"^[\w.]+:[\w.]+$"}]}
    ),
]

Kwarg = Annotated[
    Annotated[int, Tag("<whole>")]
    | Annotated[float, Tag("<number>")]
    | Annotated[Numbers, Tag("<numbers>")]
    | Annotated[Name, Tag("<name>")]
    | Annotated["PriorSpec", Tag("<prior>")],
    Discriminator(_kind),
]


class Family(Section):
    """A distribution with arguments; `params`, the old wrapper's word, is read as `kwargs`."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, values: Any) -> Any:
        if isinstance(values, dict) and "params" in values and "kwargs" not in values:
            return {("kwargs" if key == "params" else key): value for key, value in values.items()}
        return values


class PriorSpec(Family):
    """A prior, in the shape of `pymc_extras.prior.Prior.to_dict`: `{dist: Normal, kwargs: {mu: 0, sigma:
    1}}`."""

    dist: DistributionName
    """A scalar PyMC distribution, for instance Normal."""

    kwargs: Annotated[dict[str, Kwarg], Frozen] = Field(default_factory=FrozenDict)
    """Its arguments: numbers, lists of numbers along `dims`, nested priors, or names of parameters
    further up."""

    dims: Names = ()
    """Dimensions of a vector parameter; each is a column of the panel or a key of `model.coords`."""

    centered: bool = True
    """False samples a standardised offset instead (Normal and StudentT)."""

    transform: Transform | None = None
    """A function applied to the value, for instance exp or sigmoid."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the shape of `pymc_extras.prior.Prior.to_dict`; defaults are left out."""
        data: dict[str, Any] = {"dist": self.dist}
        if self.kwargs:
            data["kwargs"] = {name: plain_kwarg(value) for name, value in self.kwargs.items()}
        if not self.centered:
            data["centered"] = False
        if self.dims:
            data["dims"] = list(self.dims)
        if self.transform:
            data["transform"] = self.transform
        return data


def plain_kwarg(value: Any) -> Any:
    """A kwarg as plain values."""
    match value:
        case PriorSpec():
            return value.to_dict()
        case tuple():
            return list(value)
        case _:
            return value


class Quantity(Section):
    """A named function of columns, parameters and earlier quantities: exactly one of `function`,
    `expression` and `formula`."""

    function: FunctionName | None = None
    """A built-in curve (negative_exponential, ...) or `package.module:function`."""

    expression: Name | None = Field(default=None, max_length=2_000)
    """Arithmetic, for instance `top * (1 - exp(-rate * week))`."""

    arguments: Annotated[dict[str, Name], Frozen] = Field(default_factory=FrozenDict)
    """Argument of the function -> parameter, earlier quantity or column; by default the one of the same
    name."""

    formula: Name | None = Field(default=None, max_length=2_000)
    """A regression, for instance `1 + log(price) + deal + (1|store)`; its terms become parameters."""

    priors: Annotated[dict[str, PriorSpec], Frozen] = Field(default_factory=FrozenDict)
    """Term of the formula -> prior of its coefficients; by default a wide Normal, of each group's
    coefficients one with a standard deviation to be learned."""

    unseen: Literal["error", "mean"] = "error"
    """Levels that the formula was not fitted with: an error, or the mean of those that it was fitted with."""

    design: Design | None = None
    """What the formula learned from the first panel; a fit writes it."""

    def structure(self) -> dict[str, Any]:
        """All that decides what is computed, in plain values; what is not used is left out."""
        data = self.model_dump(mode="json")
        new = ("formula", "priors", "unseen", "design")
        return {k: v for k, v in data.items() if self.formula is not None or k not in new}


class Ar1(Section):
    """Errors that depend on the row before: e_t = rho * e_(t-1) + noise."""

    rho: PriorSpec
    """Prior of the dependence over one unit of time, inside 0..1; the parameter is named `rho`."""


class Errors(Section):
    """The forms that dependence between rows can take."""

    ar1: Ar1
    """Each error depends on the one before."""


def _unwrapped(value: Any) -> Any:
    return value if value is None or isinstance(value, Ar1) else Errors.model_validate(value).ar1


LIMITS = ("censored", "truncated")
"""Kinds of limits that a likelihood can have, one at most."""


class Limits(Section):
    """Limits of what is observed: a lower one, an upper one, or both, as numbers or names of columns."""

    lower: float | Name | None = None
    """The smallest value that can be observed."""

    upper: float | Name | None = None
    """The largest."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The limits that are columns."""
        return tuple(end for end in (self.lower, self.upper) if isinstance(end, str))


class Likelihood(Family):
    """How the target scatters around the quantities."""

    dist: DistributionName
    """A scalar PyMC distribution, for instance Normal or NegativeBinomial."""

    kwargs: Annotated[dict[str, Kwarg], Frozen] = Field(default_factory=FrozenDict)
    """Its arguments: names of parameters, quantities or columns, numbers, or priors (a parameter named as
    the kwarg)."""

    errors: Annotated[Ar1 | None, BeforeValidator(_unwrapped, json_schema_input_type=Errors | None)] = None
    """Dependence between the rows of an entity, in order of time: `{ar1: {rho: {dist: Beta, ...}}}`."""

    censored: Limits | None = None
    """Values beyond a limit were observed as that limit: below detection, or still alive."""

    truncated: Limits | None = None
    """Values beyond a limit cannot be observed at all."""

    weights: Name | None = None
    """A column of numbers, 0 or more: what each row's log likelihood is multiplied by."""

    @property
    def limits(self) -> Limits | None:
        """Whichever limits there are."""
        return self.censored or self.truncated

    @field_serializer("errors")
    def _wrapped(self, errors: Ar1 | None) -> dict[str, Any] | None:
        return None if errors is None else {"ar1": errors.model_dump()}

    @property
    def nested(self) -> Mapping[str, PriorSpec]:
        """Parameters declared inside the likelihood: name -> prior."""
        found = {name: value for name, value in self.kwargs.items() if isinstance(value, PriorSpec)}
        return found | ({"rho": self.errors.rho} if self.errors else {})
