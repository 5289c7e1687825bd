"""The transfer section: who teaches, who learns, from whom, and how far a prior may carry."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from posterity.config.frozen import FrozenDict
from posterity.config.priors import Frozen, Name, Names, PriorSpec, Section, listed_values

Share = Annotated[float, Field(ge=0, le=1)]
Place = Annotated[str, Field(min_length=1, max_length=4096)]
Word = Literal["population", "previous", "declared"]

SPREADS = ("HalfNormal", "HalfCauchy", "HalfStudentT", "Exponential", "LogNormal", "Gamma")
"""Families that a spread between entities can have."""

KINDS = ("entity", "file", "portfolio", "previous")
"""Keys of `from`, of which exactly one is given; `previous` may stand alone as a word."""


class Established(Section):
    """Which entities teach."""

    min_rows: Annotated[int, Field(ge=1)] = 20
    """An entity with at least so many rows is established; the others learn."""

    entities: Annotated[Names, Field(min_length=1)] = ("*",)
    """Shell patterns such as `P01 / *`; only entities whose name matches one of them are established."""


class Pool(Section):
    """Which entities belong together, and what they have in common."""

    within: Names = ()
    """A population per distinct value of these entity columns, each shrunk towards the whole."""

    shrink: bool = False
    """Whether established entities learn from their population too (partial pooling)."""

    shared: Names = ()
    """Parameters that are the same for every entity."""

    independent: Names = ()
    """Parameters that learn nothing from others: they keep their declared prior everywhere."""

    spread: Annotated[dict[str, PriorSpec], Frozen] = Field(default_factory=FrozenDict)
    """Parameter -> prior of its standard deviation between entities, on the unconstrained scale; by default
    HalfNormal with the standard deviation of the declared prior there."""

    covariance: Literal["auto", "full", "diagonal"] = "auto"
    """Whether parameters may be correlated between entities; auto: where the data support it."""


class Origin(Section):
    """Where a prior comes from when it is not a single word: exactly one of the keys."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    entity: Place | None = None
    """The posterior of another entity of this panel, by its name (`P01 / north`)."""

    file: Place | None = None
    """A prior file, such as one under `priors/` of a result."""

    portfolio: Place | None = None
    """Another portfolio: its name or a folder of results, of which the newest finished one is taken, or the
    folder of one result. The posterior of the same entity there."""

    previous: Place | None = None
    """The folder of an earlier result of this portfolio; `from: previous` takes the newest under `runs/`."""


def _form(value: Any) -> str:
    return "<mapping>" if isinstance(value, Mapping | Section) else "<word>"


From = Annotated[
    Annotated[Word, Tag("<word>")] | Annotated[Origin, Tag("<mapping>")],
    Discriminator(_form),
]


class Rule(Section):
    """Who learns from whom; of several rules the first that matches an entity holds."""

    learn: Annotated[Names, Field(min_length=1)]
    """Names of entities or shell patterns: `P05 / *`."""

    source: From = Field(alias="from")
    """population, previous, declared, or one of `{entity: NAME}`, `{file: PATH}`, `{portfolio: NAME}`,
    `{previous: RESULT}`."""

    discount: Annotated[float, Field(gt=0, le=1)] = 1.0
    """What the source's information counts for: its covariance is divided by this."""

    fallback: Literal["declared", "population"] = "declared"
    """What an entity gets whose source cannot be used: a parent that failed, rows that overlap."""

    match: Annotated[dict[str, Name], Frozen] = Field(default_factory=FrozenDict)
    """Own parameter -> the source's parameter, where names differ; then only these are transferred."""

    @property
    def kind(self) -> str:
        """population, declared, entity, file, portfolio or previous."""
        if isinstance(self.source, str):
            return self.source
        return next(kind for kind in KINDS if getattr(self.source, kind) is not None)

    @property
    def name(self) -> str | None:
        """The entity, file or folder that the source names; None for a single word."""
        return None if isinstance(self.source, str) else getattr(self.source, self.kind)


class Transfer(Section):
    """Priors for new entities from the posteriors of established ones."""

    established: Established = Established()
    """Who teaches; everyone else learns."""

    pool: Pool = Pool()
    """Who learns from whom."""

    rules: Annotated[tuple[Rule, ...], Field(max_length=1000), BeforeValidator(listed_values)] = ()
    """Exceptions, the first that matches holds. Without one, new entities learn from the population and
    established ones keep the declared priors."""

    robust: Share = 0.1
    """Weight of the vague component of a transferred prior."""

    max_prior_rows: Annotated[float, Field(gt=0)] | None = None
    """A transferred prior counts for at most so many rows."""
