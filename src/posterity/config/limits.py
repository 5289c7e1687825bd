"""Limits of what is observed: censored and truncated targets."""

from collections.abc import Iterator
from typing import Any

from posterity.config.families import Raw, mapping
from posterity.config.findings import Finding, Path
from posterity.config.priors import LIMITS
from posterity.config.scope import Scope
from posterity.config.words import quoted


def findings(raw: Raw, scope: Scope) -> Iterator[Finding]:
    """What is wrong with the limits of a likelihood; notes in `scope` which names they use."""
    given = [key for key in LIMITS if raw.get(key) is not None]
    path: Path = ("model", "likelihood")
    if len(given) > 1:
        yield Finding(
            (*path, "truncated"),
            "stands beside censored; values beyond the limits are either cut back to them (censored) or "
            "never there (truncated)",
            at_key=True,
        )
    for key in given:
        limits = mapping(raw.get(key))
        if raw.get("errors") is not None:
            yield Finding(
                (*path, key),
                "stands beside errors; what an error was is not known where its row is cut off. Keep one",
                at_key=True,
            )
        if limits.get("lower") is None and limits.get("upper") is None:
            yield Finding((*path, key), "has neither lower nor upper; give one or both", at_key=True)
        yield from _ends((*path, key), limits, scope)


def _ends(path: Path, limits: Raw, scope: Scope) -> Iterator[Finding]:
    low, high = limits.get("lower"), limits.get("upper")
    if isinstance(low, int | float) and isinstance(high, int | float) and low >= high:
        yield Finding((*path, "lower"), f"{low:g} found, and upper is {high:g}; lower is below upper")
    for key, word in (("lower", low), ("upper", high)):
        if not isinstance(word, str):
            continue
        scope.used.add(word)
        known: Any = {**scope.parameters, **scope.quantities, **scope.history, **scope.inner}
        if word in known or word == scope.target:
            what = "the target" if word == scope.target else "a parameter or quantity"
            yield Finding(
                (*path, key),
                f"{quoted(word)} is {what}; a limit is known: a number, or a column of the panel",
            )
