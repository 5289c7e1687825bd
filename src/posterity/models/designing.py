"""A formula and the first rows into a design: kinds of columns, levels, states of transforms, codings.

Which categories get a column for each level, and which all but one, formulae decides from the kinds alone:
it is given stand-ins for the parts, so that nothing of a configuration is evaluated there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config.design import Design, DesignTerm
from posterity.config.formula import Formula, Term, suffixes
from posterity.errors import ModelError
from posterity.models import transforms
from posterity.models.design import axes
from posterity.models.parts import Columns, categories, column, numbers

type Floats = NDArray[np.float64]

MAX_COLUMNS = 200
"""A term with more columns is refused: `(1|store)` does the same with an index."""
MAX_GROUPS = 5_000


def design(name: str, formula: Formula, columns: Columns) -> Design:
    """What the formula of the quantity `name` learns from rows (n,).

    Raises ModelError for columns that it cannot be made of, with the place in the configuration.
    """
    try:
        return _design(name, formula, columns)
    except ModelError as error:
        raise ModelError(f"model.quantities.{name}.formula: {error}") from None


def _design(name: str, formula: Formula, columns: Columns) -> Design:
    levels: dict[str, tuple[Any, ...]] = {}
    learner = _Learner()
    for text in dict.fromkeys((*formula.offsets, *(p for term in formula.terms for p in term.parts))):
        if (category := categories(text, columns)) is not None and text not in formula.offsets:
            levels[text] = _levels(columns[category])
            if len(levels[text]) < 2:
                raise ModelError(f"{text} has one level only, {levels[text][0]!r}; leave it out")
        else:
            numbers(text, columns, learner)
    groups = {part: _levels(columns[column(part)]) for term in formula.terms for part in term.by}
    coded = list(_coded(formula, levels))
    named = suffixes((term.parts, term.by) for term, _ in coded)
    terms = tuple(
        DesignTerm(name=term.name, parameter=f"{name}_{suffix}", parts=term.parts, full=full, by=term.by)
        for (term, full), suffix in zip(coded, named, strict=True)
    )
    made = Design(terms=terms, offsets=formula.offsets, levels=levels, groups=groups, states=learner.states)
    for term in terms:
        _bounded(term, made)
    return made


def _bounded(term: DesignTerm, made: Design) -> None:
    found = list(map(len, axes(term, made)))
    if term.by and found.pop(0) > MAX_GROUPS:
        raise ModelError(f"{term.name} has more than {MAX_GROUPS:,} groups; entities are groups that scale")
    if found and found[0] > MAX_COLUMNS:
        raise ModelError(
            f"{term.name} has {found[0]:,} columns, at most {MAX_COLUMNS} are fitted; levels that many learn "
            f"from each other: (1|{column(term.parts[0])})"
        )


def _levels(values: NDArray[Any]) -> tuple[Any, ...]:
    """Sorted distinct values: text, or numbers, whole ones as int."""
    if values.dtype == object:
        return tuple(sorted({v for v in values.tolist() if v is not None}))
    found = np.unique(values[np.isfinite(values)]).tolist()
    return tuple(int(v) for v in found) if all(v.is_integer() for v in found) else tuple(found)


class _Learner:
    """Transforms that learn from what they are called with, each once; as `recall` of `parts.numbers`."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, text: str, x: Floats, settings: Mapping[str, Any]) -> Floats:
        if text not in self.states:
            try:
                self.states[text] = transforms.learn(name, x[np.isfinite(x)], settings)
            except ValueError as error:
                raise ModelError(f"{text}: {error}") from None
        return transforms.apply(name, x, self.states[text])


def _coded(formula: Formula, levels: Mapping[str, Any]) -> list[tuple[Term, tuple[str, ...]]]:
    """The terms with what of them is coded in full, and those that formulae adds for the sake of rank."""
    import pandas as pd
    from formulae import design_matrices
    from formulae.environment import Environment

    parts = list(dict.fromkeys(p for term in formula.terms for p in term.parts))
    by = list(dict.fromkeys(term.by for term in formula.terms if term.by))
    part_of = {f"p{i}": part for i, part in enumerate(parts)}
    own = {part: word for word, part in part_of.items()}
    words = ["1" if any(not t.parts and not t.by for t in formula.terms) else "0"]
    for term in formula.terms:
        product = ":".join(own[p] for p in term.parts)
        if term.by:
            words.append(f"({'1' if not term.parts else f'0 + {product}'}|g{by.index(term.by)})")
        elif term.parts:
            words.append(product)
    text, number = ["a", "b"], [1.0, 2.0]
    frame = pd.DataFrame(
        {word: text if part in levels else number for word, part in part_of.items()}
        | {f"g{i}": text for i in range(len(by))}
    )
    frame["_"] = number  # a frame without columns has no rows
    try:
        model = design_matrices(" + ".join(words), frame, na_action="error", env=Environment([{}])).model
    except IndexError:  # where a term has nothing left to say, formulae looks for its coding in vain
        raise ModelError(
            "a term says nothing beyond those before it; write categories before their interactions, as in "
            "a + b + a:b"
        ) from None
    known = {(term.parts, term.by): term for term in formula.terms}
    printed = {p: w for term in formula.terms for p, w in zip(term.parts, term.printed, strict=True)}
    found = []
    for one in {term.name: term for term in (*model.common_terms, *model.group_terms)}.values():
        group = by[int(one.factor.name.removeprefix("g"))] if hasattr(one, "factor") else ()
        components = getattr(getattr(one, "expr", one), "components", ())
        mine = tuple(part_of[c.name] for c in components)
        full = tuple(part_of[c.name] for c in components if part_of[c.name] in levels and c.spans_intercept)
        names = tuple(printed[p] for p in mine)
        added = Term(":".join(names), mine, group, names, "")
        found.append((known.get((mine, group), added), full))
    return found
