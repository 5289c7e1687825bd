"""A column that says what each row counts for."""

from collections.abc import Iterator

from posterity.config.families import Raw
from posterity.config.findings import Finding, Path
from posterity.config.scope import Scope
from posterity.config.words import quoted


def findings(likelihood: Raw, scope: Scope, pooling: object) -> Iterator[Finding]:
    """What is wrong with a likelihood's weights."""
    word, path = likelihood.get("weights"), ("model", "likelihood", "weights")
    if not isinstance(word, str):
        return
    place: Path = path
    known = {**scope.parameters, **scope.quantities, **scope.history, **scope.inner}
    if word in known or word in (scope.target, scope.time):
        what = "a column that the model uses already" if word not in known else "a parameter or quantity"
        yield Finding(place, f"{quoted(word)} is {what}; weights are a column of their own, known beforehand")
    if pooling == "joint":
        yield Finding(
            place,
            "found, but a joint model counts every row once; leave out `inference.pooling: joint`",
            at_key=True,
        )
