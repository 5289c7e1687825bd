"""Classifiers that may say "I don't know"."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from posterity.config.build import SUPPORTS
from posterity.config.distributions import DISTRIBUTIONS, Distribution, Support
from posterity.config.families import Raw, mapping
from posterity.config.findings import Finding
from posterity.config.priors import Section


class Abstain(Section):
    """When a classifier gives no answer."""

    below: Annotated[float, Field(gt=0, lt=1)]
    """It abstains where the posterior predictive probability of the most probable class is below this."""


def findings(value: Raw) -> Iterator[Finding]:
    """Whether there are classes to choose between."""
    model = mapping(value.get("model"))
    if value.get("abstain") is None or not model:
        return
    build, dist = mapping(model.get("build")), mapping(model.get("likelihood")).get("dist")
    if model.get("build") is not None:
        target = str(build.get("target", "real"))
        if SUPPORTS.get(target) in (Support.BINARY, Support.CATEGORY):
            return
        found = f"the target of `build` is {target}; say `target: binary` or `target: category`, or"
    else:
        family: Distribution | None = DISTRIBUTIONS.get(str(dist))
        if family is None or family.classifies:
            return
        found = f"the likelihood is {family.name}; abstaining is for Bernoulli and Categorical, so"
    yield Finding(("abstain",), f"{found} leave it out", at_key=True)
