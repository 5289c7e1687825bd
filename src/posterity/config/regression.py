"""Quantities that are formulas: whether they can be read, and whether their priors are those of terms."""

from collections.abc import Iterator, Mapping
from typing import Any

from posterity.config import families
from posterity.config.families import Described, Raw, mapping, words
from posterity.config.findings import Finding, Path
from posterity.config.formula import Formula, examine
from posterity.config.scope import Scope
from posterity.config.words import listed, meant, quoted

ONLY = ("priors", "unseen", "design")
"""Keys of a quantity that belong to a formula."""


def findings(scope: Scope) -> Iterator[Finding]:
    """What is wrong with the formulas among the quantities; notes in `scope` what they read."""
    for name, spec in scope.quantities.items():
        path: Path = ("model", "quantities", name)
        quantity = mapping(spec)
        text = quantity.get("formula")
        if text is None:
            for key in ONLY:
                if quantity.get(key):
                    yield Finding((*path, key), "belongs to a `formula`, and none is here", at_key=True)
        elif isinstance(text, str):
            if quantity.get("arguments"):
                yield Finding((*path, "arguments"), "only functions have arguments; leave this out")
            formula, flaws = examine(text)
            yield from (Finding((*path, "formula"), flaw) for flaw in flaws)
            if formula is not None:
                yield from _formula(name, quantity, formula, path, scope)


def _formula(name: str, quantity: Raw, formula: Formula, path: Path, scope: Scope) -> Iterator[Finding]:
    for column in formula.columns:
        if column == scope.target:
            flaw = "is the target, which cannot explain itself; use another column"
        elif column in {**scope.parameters, **scope.inner, **scope.quantities, **scope.history}:
            flaw = (
                "is a parameter or quantity; a formula is made of columns, and its coefficients are its own"
            )
        else:
            scope.used.add(column)
            continue
        yield Finding((*path, "formula"), f"{column!r} {flaw}")
    yield from _priors(mapping(quantity.get("priors")), formula, path)
    if (design := quantity.get("design")) is None:
        scope.used |= {f"{name}_{term.suffix}" for term in formula.terms}
        return
    if quantity.get("priors"):
        yield Finding(
            (*path, "priors"),
            "stands beside a design, whose coefficients have priors under model.parameters; leave it out",
            at_key=True,
        )
    if not _belongs(mapping(design), formula):
        yield Finding(
            (*path, "design"),
            "was learned for another formula; leave it out, and its parameters under model.parameters and "
            "model.coords, for a new one",
            at_key=True,
        )
    for number, term in enumerate(_terms(mapping(design))):
        word = mapping(term).get("parameter")
        if isinstance(word, str) and word not in scope.parameters:
            yield Finding(
                (*path, "design", "terms", number, "parameter"),
                f"{quoted(word)} is no parameter{meant(word, scope.parameters)}; a design is written by a "
                "fit: leave it out for a new one",
            )
        scope.used.add(str(word))


def _terms(design: Raw) -> tuple[Any, ...]:
    terms = design.get("terms")
    return tuple(terms) if isinstance(terms, list | tuple) else ()


def _belongs(design: Raw, formula: Formula) -> bool:
    """Whether a design has the terms of a formula, and levels for what it takes as categories."""
    found = {(words(mapping(t).get("parts")), words(mapping(t).get("by"))) for t in _terms(design)}
    wanted = {(t.parts, t.by) for t in formula.terms}
    # What is more, formulae added to make an interaction of categories complete.
    added = all(not by and any(set(parts) < set(p) for p, _ in wanted) for parts, by in found - wanted)
    coded = {part for t in _terms(design) for part in words(mapping(t).get("full"))}
    groups = {part for _, by in found for part in by}
    return (
        wanted <= found
        and added
        and words(design.get("offsets")) == formula.offsets
        and coded <= set(mapping(design.get("levels")))
        and groups <= set(mapping(design.get("groups")))
    )


def _priors(given: Mapping[str, Any], formula: Formula, path: Path) -> Iterator[Finding]:
    for term, spec in given.items():
        place: Path = (*path, "priors", term)
        if term not in formula.names:
            yield Finding(
                place,
                f"the formula has no term {quoted(term)}; it has {listed(formula.names)}"
                f"{meant(term, formula.names)}",
                at_key=True,
            )
            continue
        if "dims" in mapping(spec):
            yield Finding(
                (*place, "dims"), "a coefficient has the dims of its term; leave this out", at_key=True
            )
        yield from _flaws(Described(place, mapping(spec), "parameter"))


def _flaws(one: Described) -> Iterator[Finding]:
    yield from families.flaws(one)
    for kwarg, value in one.kwargs.items():
        if isinstance(value, Mapping):
            yield from _flaws(Described((*one.path, one.key, kwarg), value, "nested", one.spec))
