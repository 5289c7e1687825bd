"""Rows of a regression: a formula's columns at any rows, from what it learned of the first ones.

A term is a column (n,) or a matrix (n, k) beside its coefficients; a group-specific one picks the
coefficients of each row's group by position and weighs them.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config.design import Design, DesignTerm
from posterity.config.priors import Quantity
from posterity.errors import ModelError, PanelError
from posterity.models import transforms
from posterity.models.parts import Columns, column, contrast, numbers, transform

type Floats = NDArray[np.float64]
type Axis = tuple[str, ...]

ADVICE = "`unseen: mean` gives such rows the mean of the known levels, and a new fit learns them"


def input_name(quantity: str, term: str) -> str:
    """Name of the input that holds a term's columns; for `offset` the sum of all offsets."""
    return f"formula:{quantity}:{term}"


def group_name(quantity: str, term: str) -> str:
    """Name of the input that holds the position of each row's group."""
    return f"group:{quantity}:{term}"


def learned(name: str, quantity: Quantity) -> Design:
    """The design of a quantity; ModelError where its formula has not seen rows."""
    if quantity.design is None:
        raise ModelError(
            f"model.quantities.{name}: the formula has no design yet; `portfolio.fixed` learns it from rows"
        )
    return quantity.design


def placeholders(name: str, design: Design) -> dict[str, NDArray[Any]]:
    """Every input of a formula by name, for two rows."""
    found: dict[str, NDArray[Any]] = {}
    if design.offsets:
        found[input_name(name, "offset")] = np.ones(2)
    for term in design.terms:
        wide = axes(term, design)[1 if term.by else 0 :]
        if term.by:
            found[group_name(name, term.name)] = np.zeros(2, dtype=np.int64)
        if term.by or term.parts:
            found[input_name(name, term.name)] = np.ones((2, *map(len, wide)))
    return found


def axes(term: DesignTerm, design: Design) -> tuple[Axis, ...]:
    """The labels along each dimension of a term's parameter: groups, then columns if there are several."""
    found: list[Axis] = []
    if term.by:
        found.append(
            tuple(":".join(p) for p in product(*([*map(_label, design.groups[b])] for b in term.by)))
        )
    labelled = [_labels(part, part in term.full, design) for part in term.parts]
    if own := [labels for labels in labelled if labels is not None]:
        found.append(tuple(":".join(labels) for labels in product(*own)))
    return tuple(found)


def inputs(name: str, quantity: Quantity, columns: Columns, n: int) -> dict[str, NDArray[Any]]:
    """Every input of a formula at n rows. Raises PanelError for levels that it was not fitted with, unless
    `unseen: mean` gives them the mean.
    """
    design = learned(name, quantity)
    if quantity.unseen == "error" and (strange := next(strangers(design, columns), None)) is not None:
        what, mask, _ = strange
        raise PanelError([f"{what} in {int(mask.sum())} of {n} rows; {ADVICE}"])
    found: dict[str, NDArray[Any]] = {}
    if design.offsets:
        found[input_name(name, "offset")] = offset(design, columns, n)
    for term in design.terms:
        if not term.by and not term.parts:
            continue
        own = matrix(term, design, columns, n)
        if term.by:
            position, known = _positions(term, design, columns)
            found[group_name(name, term.name)] = position
            own = own * (known if own.ndim == 1 else known[:, None])
        found[input_name(name, term.name)] = own
    return found


def meaning(quantities: Mapping[str, Quantity], parameter: str) -> tuple[Any, ...] | None:
    """What a coefficient is multiplied by, in plain values: parts, levels, groups and states; None for other
    parameters. Equal coefficients mean the same where this is equal.
    """
    for quantity in quantities.values():
        for term in () if quantity.design is None else quantity.design.terms:
            if term.parameter == parameter:
                made = quantity.design
                assert made is not None
                return (
                    (term.parts, term.full, term.by),
                    {part: made.levels[part] for part in term.parts if part in made.levels},
                    {part: made.groups[part] for part in term.by},
                    {text: s for text, s in made.states.items() if any(text in p for p in term.parts)},
                )
    return None


def matrix(term: DesignTerm, design: Design, columns: Columns, n: int) -> Floats:
    """A term's columns at n rows: (n,), or (n, k) where there are several or labelled ones."""
    parts = [_columns(part, part in term.full, design, columns, n) for part in term.parts]
    if not any(part.ndim > 1 for part in parts):
        return reduce(np.multiply, parts, np.ones(n))
    wide = [part if part.ndim > 1 else part[:, None] for part in parts]
    # As formulae has it: the last part's columns vary fastest.
    return reduce(lambda a, b: (a[:, :, None] * b[:, None, :]).reshape(n, -1), wide)


def offset(design: Design, columns: Columns, n: int) -> Floats:
    """The sum of the offsets at n rows."""
    recall = _recalled(design)
    return sum((_long(numbers(text, columns, recall), n) for text in design.offsets), np.zeros(n))


def strangers(design: Design, columns: Columns) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[Any]]]:
    """Columns with levels that the design does not know: a sentence, a mask of rows, and the values."""
    seen = {column(part): levels for part, levels in [*design.levels.items(), *design.groups.items()]}
    for name, levels in seen.items():
        mask = codes(columns[name], levels) < 0
        if mask.any():
            known = ", ".join(map(_label, levels[:10])) + (", ..." if len(levels) > 10 else "")
            first = columns[name][int(np.argmax(mask))]
            sentence = f"column {name!r} has a level that the formula was not fitted with, {_label(first)!r} "
            yield f"{sentence}(it knows {known})", mask, columns[name]


def codes(values: NDArray[Any], levels: tuple[Any, ...]) -> NDArray[np.int64]:
    """Positions of values (n,) among levels, -1 where they are not there."""
    known = {level: i for i, level in enumerate(levels)}
    return np.array([known.get(value, -1) for value in values.tolist()], dtype=np.int64)


def _columns(part: str, full: bool, design: Design, columns: Columns, n: int) -> Floats:
    """A part's columns at n rows, (n,) or (n, k); a level that is not known has the mean of the others."""
    if part not in design.levels:
        return _long(numbers(part, columns, _recalled(design)), n)
    levels = design.levels[part]
    rows = coding(part, levels, full)[0]
    rows = np.vstack([rows, rows.mean(axis=0)])
    return np.asarray(rows[codes(columns[column(part)], levels)], dtype=np.float64)


def _long(values: Floats, n: int) -> Floats:
    return np.broadcast_to(values, (n,)) if values.ndim == 0 else values


def coding(part: str, levels: tuple[Any, ...], full: bool) -> tuple[Floats, Axis]:
    """The numbers that stand for each level, (levels, k), and the labels of the k columns, by formulae."""
    from formulae.categorical import ENCODINGS

    kind, left_out = contrast(part)
    if left_out is not None and left_out not in levels:
        shown = ", ".join(map(_label, levels[:10]))
        raise ModelError(f"{part}: no level {left_out!r}; there is {shown}")
    encoding = ENCODINGS[kind](left_out)
    labels = list(map(_label, levels))
    made = (encoding.code_with_intercept if full else encoding.code_without_intercept)(list(levels))
    short = {str(level): label for level, label in zip(levels, labels, strict=True)}
    return np.asarray(made.matrix, dtype=np.float64), tuple(short.get(word, word) for word in made.labels)


def _labels(part: str, full: bool, design: Design) -> Axis | None:
    """Labels of a part's columns; None for a single one, which needs none."""
    if part in design.levels:
        return coding(part, design.levels[part], full)[1]
    name, text = transform(part)
    width = transforms.width(name, design.states[text]) if name is not None and text in design.states else 0
    return tuple(map(str, range(width))) if width else None


def _label(level: Any) -> str:
    return str(int(level)) if isinstance(level, float) and level.is_integer() else str(level)


def _positions(term: DesignTerm, design: Design, columns: Columns) -> tuple[NDArray[np.int64], Floats]:
    """Each row's group (n,), and 1 where the design knows it, else 0 and the first group."""
    position, known = np.zeros((), dtype=np.int64), np.ones((), dtype=bool)
    for part in term.by:
        levels = design.groups[part]
        found = codes(columns[column(part)], levels)
        position, known = position * len(levels) + np.maximum(found, 0), known & (found >= 0)
    return np.where(known, position, 0), known.astype(np.float64)


def _recalled(design: Design) -> Any:
    def recall(name: str, text: str, x: Floats, settings: Mapping[str, Any]) -> Floats:
        if text not in design.states:
            raise ModelError(f"{text}: the design remembers nothing of it; leave `design` out for a new one")
        return transforms.apply(name, x, design.states[text])

    return recall
