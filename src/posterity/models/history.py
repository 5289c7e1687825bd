"""Numbers made from the rows before a row, as data: what was known when the row came.

An average is simple exponential smoothing at irregular times (Wright, Management Science 32:499, 1986): a row
that comes Δ after the one before it gets the weight 1 - 2^(-Δ / half-life), and what was there the rest. It
is linear in the level at which it starts, which may be a parameter: hence two numbers a row, what the rows
gave and the weight that is left for the start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config.history import Memory
from posterity.errors import PanelError

type Values = NDArray[np.float64]

TRANSFORMS = {"log": np.log, "log1p": np.log1p, "sqrt": np.sqrt}


def input_name(name: str) -> str:
    """The model's input that holds what the rows before gave."""
    return f"history:{name}"


def left_name(name: str) -> str:
    """The model's input that holds the weight left for the start."""
    return f"history:{name}:left"


def inputs(history: Mapping[str, Memory]) -> tuple[str, ...]:
    """Every input of a model that comes from its history."""
    started = (left_name(name) for name, memory in history.items() if memory.start is not None)
    return (*map(input_name, history), *started)


@dataclass(frozen=True)
class Recall:
    """What one memory holds after some rows: numbers, or one for each of S draws (S,).

    `given` is what the rows gave, `left` the weight left for the start; `last` is the value of the last row,
    None before the first, and `at` its time.
    """

    memory: Memory
    given: Any = 0.0
    left: float = 1.0
    last: Any | None = None
    at: float | None = None

    def after(self, value: Any, at: float) -> "Recall":
        """What it holds after one more row with this value of the column.

        The first row of an entity counts as one unit of time; a change needs two rows.
        """
        now = value if self.memory.transform is None else TRANSFORMS[self.memory.transform](value)
        elapsed = 1.0 if self.at is None else at - self.at
        seen = now
        if self.memory.change:
            if self.last is None:
                return replace(self, last=now, at=at)
            seen = (now - self.last) / elapsed
        if self.memory.half_life is None:
            return replace(self, given=seen, left=0.0, last=now, at=at)
        kept = 0.5 ** (elapsed / self.memory.half_life)
        given = self.given * kept + seen * (1 - kept)
        return replace(self, given=given, left=self.left * kept, last=now, at=at)


def recalled(
    history: Mapping[str, Memory], columns: Mapping[str, NDArray[Any]], time: NDArray[Any]
) -> tuple[dict[str, Values], dict[str, Recall]]:
    """The inputs of a history at every row, (n,) each, and what is held after the last row.

    `columns` are those that the memories are made of, `time` (n,) is theirs, in order. An entity's first row,
    where nothing stands in for the row before, gets its own value (of the time column, one unit
    less); `taken_as_given` says that it is not to be explained.

    Raises PanelError where a value cannot be remembered, such as the logarithm of 0.
    """
    found: dict[str, Values] = {}
    held: dict[str, Recall] = {}
    for name, memory in history.items():
        recall = Recall(memory)
        given, left = np.zeros(len(time)), np.ones(len(time))
        with np.errstate(divide="ignore", invalid="ignore"):
            for i, (value, at) in enumerate(zip(columns[memory.of].tolist(), time.tolist(), strict=True)):
                given[i], left[i] = recall.given, recall.left
                recall = recall.after(value, at)
        if not np.isfinite(recall.given):
            raise PanelError([f"history {name}: {_what(memory)} is not finite in some row; see its values"])
        if memory.start is None and len(time):
            given[0] = _stand_in(memory, columns, time)
        found[input_name(name)] = given
        if memory.start is not None:
            found[left_name(name)] = left
        held[name] = recall
    return found, held


def held_inputs(held: Mapping[str, Recall], draws: int) -> dict[str, Values]:
    """The inputs (S,) of a history at the next row, whatever that will be, for each of `draws` draws."""
    found = {input_name(name): np.broadcast_to(recall.given, draws) for name, recall in held.items()}
    return found | {
        left_name(name): np.full(draws, recall.left)
        for name, recall in held.items()
        if recall.memory.start is not None
    }


def taken_as_given(history: Mapping[str, Memory], rows: int) -> NDArray[np.bool_]:
    """Which of an entity's rows (n,) the others are explained by without being explained themselves."""
    mask = np.zeros(rows, dtype=np.bool_)
    mask[:1] = any(memory.start is None for memory in history.values())
    return mask


def _stand_in(memory: Memory, columns: Mapping[str, NDArray[Any]], time: NDArray[Any]) -> float:
    value = columns[memory.of][0]
    if np.array_equal(columns[memory.of], time):
        value = value - 1.0
    return float(value if memory.transform is None else TRANSFORMS[memory.transform](value))


def _what(memory: Memory) -> str:
    column = memory.of if memory.transform is None else f"{memory.transform} of {memory.of}"
    return f"the change of {column}" if memory.change else column
