"""Smooth unknown functions of a column in expressions: `smooth(week, m=20, c=1.5)`.

They are Gaussian processes on a basis of m sines over a range somewhat wider than the column's (Solin and
Särkkä, Statistics and Computing 30:419, 2020). How m, c and the length scale belong together is from
Riutort-Mayol, Bürkner, Andersen, Solin and Vehtari, Statistics and Computing 33:17, 2023.
"""

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from posterity.config.words import listed, meant, quoted

NAME = "smooth"
AMPLITUDE, LENGTHSCALE, WEIGHTS, BASIS = "amplitude", "lengthscale", "weights", "basis"

RULES: Mapping[str, tuple[float, float]] = {
    "expquad": (3.2, 1.75),
    "matern52": (4.1, 2.65),
    "matern32": (4.5, 3.42),
}
"""Kernel -> (a, b): on a range of half width S the length scale ℓ needs c >= a ℓ / S and m >= b c S / ℓ."""

MOST = 500
"""Basis functions; a curve that needs more is not smooth."""
SMALLEST, LARGEST = 1.2, 20.0
"""Bounds of c: closer to the data the edge is felt whatever the length scale."""

_Z95 = 1.6448536269514722
_SHOWN = "as in smooth(week, m=20, c=1.5)"


@dataclass(frozen=True, slots=True)
class Smooth:
    """One call. `low` and `high` are the range that the basis is made for, in the unit in which the model
    reads the column; without them the panel says what it is. `size` is about how far the function goes from
    0, in the unit of the quantity.
    """

    column: str
    m: int
    c: float = 1.5
    kernel: str = "expquad"
    low: float | None = None
    high: float | None = None
    size: float = 1.0

    @property
    def fixed(self) -> bool:
        """Whether the range is known, so that weights mean a function."""
        return self.low is not None and self.high is not None

    @property
    def centre(self) -> float:
        """Middle of the range."""
        low, high = self._ends
        return (low + high) / 2

    @property
    def half(self) -> float:
        """Half the width of the range, S."""
        low, high = self._ends
        return (high - low) / 2

    @property
    def _ends(self) -> tuple[float, float]:
        assert self.low is not None, "no range yet"
        assert self.high is not None, "no range yet"
        return self.low, self.high

    @property
    def edges(self) -> tuple[float, float]:
        """Where every basis function is 0, and beyond which the basis means nothing."""
        return self.centre - self.c * self.half, self.centre + self.c * self.half

    @property
    def shortest(self) -> float:
        """The shortest length scale that m functions resolve, in units of the column."""
        return RULES[self.kernel][1] * self.c * self.half / self.m

    @property
    def longest(self) -> float:
        """The longest length scale of which the edge is not felt inside the range."""
        return self.c * self.half / RULES[self.kernel][0]

    def over(self, low: float, high: float) -> "Smooth":
        """The same over a range."""
        return replace(self, low=low, high=high)

    def __str__(self) -> str:
        """As in an expression, always in the same words."""
        parts = [self.column, f"m={self.m}", f"c={number(self.c)}"]
        parts += [f"kernel='{self.kernel}'"] if self.kernel != "expquad" else []
        given = {"low": self.low, "high": self.high, "size": None if self.size == 1 else self.size}
        parts += [f"{name}={number(value)}" for name, value in given.items() if value is not None]
        return f"{NAME}({', '.join(parts)})"


def fewest(kernel: str) -> int:
    """The fewest basis functions with which `Smooth.longest` is twice `Smooth.shortest`, whatever c is."""
    return math.ceil(2 * math.prod(RULES[kernel]))


def names_of(quantity: str) -> tuple[str, str, str]:
    """The parameters that a quantity with a smooth brings: amplitude, length scale and weights."""
    return f"{quantity}_{AMPLITUDE}", f"{quantity}_{LENGTHSCALE}", f"{quantity}_{WEIGHTS}"


def priors(quantity: str, smooth: Smooth) -> dict[str, dict[str, Any]]:
    """Their priors where none is declared.

    Nine tenths of the length scale's lie between the shortest and the longest for which m and c are enough.
    Without a range the numbers are those of the range from -1 to 1.
    """
    known = smooth if smooth.fixed else smooth.over(-1, 1)
    low, high = math.log(known.shortest), math.log(known.longest)
    amplitude, lengthscale, weights = names_of(quantity)
    spread = {"mu": round((low + high) / 2, 4), "sigma": round((high - low) / 2 / _Z95, 4)}
    return {
        amplitude: {"dist": "HalfNormal", "kwargs": {"sigma": smooth.size}},
        lengthscale: {"dist": "LogNormal", "kwargs": spread},
        weights: {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}, "dims": [f"{quantity}_{BASIS}"]},
    }


def declared(model: Mapping[str, Any], found: Mapping[str, Smooth]) -> dict[str, Any]:
    """A model section in plain values with the parameters that its smooths (by quantity) bring, and their
    dimensions. What the section declares itself stays.
    """
    parameters, coords = dict(model.get("parameters") or {}), dict(model.get("coords") or {})
    for quantity, smooth in found.items():
        parameters = {
            **parameters,
            **{k: v for k, v in priors(quantity, smooth).items() if k not in parameters},
        }
        spec = parameters[names_of(quantity)[2]]
        dims = spec.get("dims") if isinstance(spec, Mapping) else None
        if dims in ([f"{quantity}_{BASIS}"], (f"{quantity}_{BASIS}",), f"{quantity}_{BASIS}"):
            coords.setdefault(f"{quantity}_{BASIS}", list(range(1, smooth.m + 1)))
    return {**model, "parameters": parameters, **({"coords": coords} if coords else {})}


def calls(tree: ast.AST) -> list[ast.Call]:
    """Every call of smooth in a tree."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == NAME
    ]


def smooth_of(node: ast.Call) -> Smooth:
    """What a call in which `flaws` finds nothing says."""
    given = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    assert isinstance(node.args[0], ast.Name)
    numbers: dict[str, Any] = {k: v if k in ("m", "kernel") else float(v) for k, v in given.items()}
    return Smooth(node.args[0].id, **numbers)


def found_in(expression: str) -> Smooth | None:
    """The smooth in an expression that has been examined; it has one at most."""
    if NAME not in expression:
        return None
    found = calls(ast.parse(_line(expression), mode="eval"))
    return smooth_of(found[0]) if found else None


def written(expression: str, smooth: Smooth) -> str:
    """The expression with this smooth in place of its own."""
    text = _line(expression)
    (node,) = calls(ast.parse(text, mode="eval"))
    own = ast.get_source_segment(text, node)
    assert own is not None
    return text.replace(own, str(smooth))


def _line(expression: str) -> str:
    return expression.replace("\r", " ").replace("\n", " ").strip()


def flaws(node: ast.Call) -> Iterator[tuple[ast.AST, str]]:
    """What is wrong with a call."""
    if len(node.args) != 1 or not isinstance(node.args[0], ast.Name):
        yield node, f"{NAME} takes one column and named numbers, {_SHOWN}"
    known = ("m", "c", "kernel", "low", "high", "size")
    values: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg not in known:
            word = quoted(keyword.arg or "**")
            hint = meant(keyword.arg or "", known)
            yield node, f"{NAME} has no argument {word}; allowed: {listed(known, 'and')}{hint}"
            continue
        try:
            values[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError):
            yield node, f"{keyword.arg} of {NAME} is written out, not computed: it decides what is compiled"
    yield from ((node, flaw) for flaw in _values(values))
    if not any(keyword.arg == "m" for keyword in node.keywords):
        yield node, f"{NAME} needs m, the number of basis functions, {_SHOWN}"


def _values(given: Mapping[str, Any]) -> Iterator[str]:
    kernel, m, c = given.get("kernel", "expquad"), given.get("m"), given.get("c", 1.5)
    if kernel not in RULES:
        yield f"kernel={quoted(kernel)} found; allowed: {listed(RULES)}"
        return
    if m is not None and (type(m) is not int or not 1 <= m <= MOST):
        yield f"m={quoted(m)} found; m is a whole number of basis functions, at most {MOST}"
        return
    if not _real(c) or not SMALLEST <= c <= LARGEST:
        yield (
            f"c={quoted(c)} found; c is from {SMALLEST} to {LARGEST:g}: how many times wider than the "
            "column's range the basis is"
        )
        return
    needed = fewest(kernel)
    if m is not None and m < needed:
        yield (
            f"m={m} found; m={needed} at least, with which the longest length scale that c allows is twice "
            f"the shortest that m resolves (kernel {kernel}); {2 * needed} make it four times"
        )
    size = given.get("size", 1)
    if not _real(size) or size <= 0:
        yield f"size={quoted(size)} found; size is a number above 0: about how far the function goes from 0"
    ends = [given[name] for name in ("low", "high") if name in given]
    if not all(_real(end) for end in ends):
        yield "low and high are numbers: the range of the column that the basis is made for"
    elif len(ends) == 2 and ends[0] >= ends[1]:
        yield f"low={ends[0]} found, but high is {ends[1]}; low is the smaller one"


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: float) -> str:
    """The shortest text that gives the number back, whole ones without a dot."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
