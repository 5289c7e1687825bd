"""What a prior file holds, section by section: shapes and ranges. `prior_file` reads and writes it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from posterity.config.priors import Section, listed_values
from posterity.config.scale import Scaling

FORMAT = 1

Text = Annotated[str, Field(max_length=4096)]
Listed = BeforeValidator(listed_values)
Texts = Annotated[tuple[Text, ...], Listed]
Row = list[float]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]


class UnknownSection(Section):
    """One parameter of the model: declared family, unconstrained scale, labels of its dimensions."""

    family: Text
    scale: Text
    levels: Annotated[tuple[Texts, ...], Listed] = ()


class ModelSection(Section):
    """The structure that the prior belongs to."""

    key: Text
    rest: Text = ""
    parameters: dict[str, UnknownSection] = Field(default_factory=dict)
    scales: dict[str, Scaling] = Field(default_factory=dict)
    ranges: dict[str, Annotated[tuple[float, float], Listed]] = Field(default_factory=dict)


class MarginalSection(Section):
    """One scalar parameter on its own scale, for people."""

    family: Text = ""
    kwargs: dict[str, float] = Field(default_factory=dict)
    mean: float
    sd: Positive
    p5: float
    p50: float
    p95: float


class JointSection(Section):
    """The Gaussian mixture over the entries, exact."""

    weights: Annotated[Row, Field(min_length=1, max_length=100)]
    means: list[Row]
    covariances: list[list[Row]]


class WindowSection(Section):
    """The rows behind one teacher."""

    first_time: Annotated[int | float | Text | None, Field(union_mode="left_to_right")] = None
    last_time: Annotated[int | float | Text | None, Field(union_mode="left_to_right")] = None
    rows: Annotated[int, Field(ge=0)]


class ProvenanceSection(Section):
    """Where the prior was learned."""

    run: Text = ""
    config: Text = ""
    taught_by: Texts = ()
    entities: Texts = ()
    windows: Annotated[tuple[WindowSection, ...], Listed] = ()
    notes: Texts = ()
    discount: Share = 1.0


class PriorSections(Section):
    """A prior file."""

    format: Literal[1]
    model: ModelSection
    source: Text
    marginals: dict[str, MarginalSection] = Field(default_factory=dict)
    entries: Annotated[Texts, Field(min_length=1)]
    joint: JointSection
    vague: Share
    rows: Positive | None = None
    ess: dict[str, float] = Field(default_factory=dict)
    provenance: ProvenanceSection = ProvenanceSection()
    doubts: Texts = ()
    digest: Text


SECTIONS: Mapping[tuple[str, ...], Any] = {
    (): PriorSections,
    ("model",): ModelSection,
    ("joint",): JointSection,
    ("provenance",): ProvenanceSection,
}
"""Sections by path, for messages that name the allowed keys."""
