"""Scalar labels such as `theta[3]` or `z[north, 2]`, put together again into the arrays they came from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

_LABEL = re.compile(r"(?P<name>[^\[\]]+)\[(?P<index>.+)\]", re.DOTALL)
_COMMA = re.compile(r",\s*")

type Level = int | str


@dataclass(frozen=True, slots=True)
class Variable:
    """A parameter: its `columns` in C order over `levels`, one tuple of levels for each of `dims` (none
    for a scalar).
    """

    name: str
    columns: tuple[str, ...]
    dims: tuple[str, ...] = ()
    levels: tuple[tuple[Level, ...], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of `dims`."""
        return tuple(len(levels) for levels in self.levels)

    def gather(self, columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Values of shape (*leading, *shape) from one array of shape `leading` a column."""
        stacked = np.stack([columns[c] for c in self.columns], axis=-1)
        return stacked.reshape(*stacked.shape[:-1], *self.shape)


def variables(labels: Sequence[str], dims: Mapping[str, Sequence[str]] | None = None) -> tuple[Variable, ...]:
    """Group labels by parameter, in the order of first appearance.

    `dims` names the dimensions of vector parameters where they are known; else they are called
    `theta_dim_0`, ... Commas separate the levels of several dimensions when that gives a full grid;
    otherwise (a level that holds a comma, or an incomplete grid) the parameter is one-dimensional with its
    labels' insides as levels.
    """
    groups: dict[str, list[tuple[str, str | None]]] = {}
    for label in labels:
        match = _LABEL.fullmatch(label)
        name, index = (match["name"], match["index"]) if match else (label, None)
        groups.setdefault(name, []).append((label, index))
    found: list[Variable] = []
    for name, members in groups.items():
        if any(index is None for _, index in members):
            found += [Variable(label, (label,)) for label, _ in members]
        else:
            known = tuple((dims or {}).get(name, ()))
            found.append(_vector(name, {index or "": label for label, index in members}, known))
    return tuple(found)


def _vector(name: str, members: Mapping[str, str], known: tuple[str, ...]) -> Variable:
    grid = None if len(known) == 1 else _grid(members, len(known) or None)
    if grid is None:
        levels: tuple[tuple[Level, ...], ...] = (_levels(list(members)),)
        order = tuple(members.values())
    else:
        levels, order = grid
    names = known if len(known) == len(levels) else tuple(f"{name}_dim_{i}" for i in range(len(levels)))
    return Variable(name, order, names, levels)


def _grid(
    members: Mapping[str, str], n_dims: int | None
) -> tuple[tuple[tuple[Level, ...], ...], tuple[str, ...]] | None:
    """Levels of each dimension and the labels in C order, or None when the labels are no full grid."""
    cells = {tuple(_COMMA.split(index)): label for index, label in members.items()}
    lengths = {len(cell) for cell in cells}
    if len(lengths) != 1 or len(cells) != len(members) or (n_dims is not None and lengths != {n_dims}):
        return None
    axes = [list(dict.fromkeys(cell[i] for cell in cells)) for i in range(lengths.pop())]
    if int(np.prod([len(axis) for axis in axes])) != len(cells):
        return None
    if all(part.isdecimal() for axis in axes for part in axis):
        axes = [sorted(axis, key=int) for axis in axes]
    return tuple(_levels(axis) for axis in axes), tuple(cells[cell] for cell in product(*axes))


def _levels(parts: Sequence[str]) -> tuple[Level, ...]:
    return tuple(int(p) for p in parts) if all(p.isdecimal() for p in parts) else tuple(parts)
