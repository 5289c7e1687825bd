"""The symbolic value of a quantity that is a formula: coefficients times columns, summed over terms."""

from collections.abc import Mapping
from typing import Any

import pytensor.tensor as pt

from posterity.config.design import Design
from posterity.models.design import axes, group_name, input_name


class Entries:
    """A vector parameter at every row, where rows differ in the vector that is theirs: `value[entries]` picks
    each row's entry, and `dot(columns)` sums its entries times columns (n, k).
    """

    def __init__(self, value: Any, index: Any | None) -> None:
        self._value, self._index = value, index

    def __getitem__(self, entries: tuple[Any, ...]) -> Any:
        return self._value[entries if self._index is None else (self._index, *entries)]

    def dot(self, columns: Any) -> Any:
        """One number a row (n,)."""
        if self._index is None:
            return pt.dot(columns, self._value)
        return (columns * self._value[self._index]).sum(axis=-1)


def value(name: str, design: Design, known: Mapping[str, Any]) -> Any:
    """The quantity `name` at every row (n,); `known` holds parameters and inputs by name."""
    total: Any = known[input_name(name, "offset")] if design.offsets else 0.0
    for term in design.terms:
        own, found = known[term.parameter], known.get(input_name(name, term.name))
        wide = len(axes(term, design)) > (1 if term.by else 0)
        if term.by:
            picked = own[(known[group_name(name, term.name)],)]
            total = total + ((picked * found).sum(axis=-1) if wide else picked * found)
        elif wide:
            total = total + (own.dot(found) if isinstance(own, Entries) else pt.dot(found, own))
        else:
            total = total + (own if found is None else own * found)
    return total
