"""The promotion section: what a challenger must show before it becomes champion."""

from typing import Annotated

from pydantic import Field

from posterity.config.priors import Section
from posterity.config.transfer import Share

OpenShare = Annotated[float, Field(gt=0, lt=1)]


class Promotion(Section):
    """When a challenger takes the champion's place, judged on rows that neither has seen."""

    max_flagged: Share = 0.2
    """Largest share of the challenger's entities that are flagged or failed."""

    max_lost: Share = 0.0
    """Largest share of the champion's entities that the challenger has no posterior for."""

    interval: OpenShare = 0.9
    """Mass of the interval whose coverage is judged."""

    coverage: OpenShare = 0.1
    """How far the share of rows inside the interval may be from its mass; where it is further off, it still
    counts as right within `standard_errors` of it."""

    standard_errors: Annotated[float, Field(ge=0, le=10)] = 1.0
    """The challenger's CRPS may be worse than the champion's by so many standard errors of the difference."""

    min_rows: Annotated[int, Field(ge=1)] = 4
    """With fewer unseen rows than this nothing is promoted."""

    approval: bool = False
    """Whether a person has the last word: a challenger that passes waits for the deployment `approve`."""

    register_versions: bool = True
    """Whether the train flow registers its results as versions of the portfolio's model."""
