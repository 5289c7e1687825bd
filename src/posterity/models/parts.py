"""Parts of a formula's terms as numbers of rows: NumPy's functions by name, and transforms that remember.

Nothing else can be called: the tree is walked, never evaluated as Python.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from posterity.config.formula import part, written
from posterity.config.formula_syntax import CATEGORICAL, SPECIAL
from posterity.errors import ModelError

type Columns = Mapping[str, NDArray[Any]]
type Recall = Callable[[str, str, NDArray[np.float64], Mapping[str, Any]], NDArray[np.float64]]
"""What a transform makes of values: called with its name, its text, the values (n,) and its settings."""

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "logit": special.logit,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "erf": special.erf,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "where": lambda c, a, b: np.where(c != 0, a, b),
    "clip": np.clip,
    "floor": np.floor,
}


def numbers(text: str, columns: Columns, recall: Recall) -> NDArray[np.float64]:
    """A part's values (n,) or (n, k) at rows; not finite where a function has no value.

    Raises ModelError where it computes with text.
    """

    def walk(node: Any) -> Any:
        match type(node).__name__:
            case "LazyValue":
                return node.value if isinstance(node.value, str) else np.float64(node.value)
            case "LazyVariable":
                return columns[node.name]
            case "LazyOperator":
                return _operated(node, [walk(inner) for inner in node.args])
        name, arguments = node.callee, node.args
        if name in FUNCTIONS:
            return FUNCTIONS[name](*(_computed(walk(a), text) for a in arguments))
        if name == "I":
            return walk(arguments[0])
        if name in SPECIAL and name not in CATEGORICAL:
            given = dict(zip(SPECIAL[name].positional, arguments[1:], strict=False)) | node.kwargs
            settings = {key: constant(value) for key, value in given.items()}
            return recall(name, written(node), _computed(walk(arguments[0]), text), settings)
        raise ModelError(f"{written(node)}: no function {name!r}, which the whitelist should have refused")

    with np.errstate(all="ignore"):
        return np.asarray(_computed(walk(_part(text)), text), dtype=np.float64)


def constant(node: Any) -> Any:
    """A setting's value."""
    if type(node).__name__ == "LazyOperator":
        (inner,) = node.args
        return -constant(inner) if node.symbol == "-" else constant(inner)
    return node.value


def _operated(node: Any, sides: list[Any]) -> Any:
    words = [_text(side) for side in sides]
    if node.symbol not in ("==", "!=") or not any(words):
        sides = [_computed(side, written(node)) for side in sides]
    return np.asarray(node.op(*sides), dtype=np.float64)


def _computed(value: Any, text: str) -> Any:
    if isinstance(value, str) or _text(value):
        raise ModelError(f"{text} computes with text; compare it instead, as in I(x == 'level')")
    return value


def _text(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"


@lru_cache(maxsize=1024)
def _part(text: str) -> Any:
    return part(text)


def categories(text: str, columns: Columns) -> str | None:
    """The column whose values a part takes as categories; None for a part that is a number."""
    node = _part(text)
    if type(node).__name__ == "LazyVariable":
        return node.name if columns[node.name].dtype == object else None
    return str(node.args[0].name) if getattr(node, "callee", None) in CATEGORICAL else None


def contrast(text: str) -> tuple[str, Any]:
    """How a category is coded: `Treatment` or `Sum`, and the level that has no column of its own."""
    node = _part(text)
    if getattr(node, "callee", None) not in CATEGORICAL:
        return "Treatment", None
    given = [*node.args[1:], *node.kwargs.values()]
    return ("Sum" if node.callee == "S" else "Treatment"), (constant(given[0]) if given else None)


def column(text: str) -> str:
    """The column behind a category or a group."""
    node = _part(text)
    return str(node.name if type(node).__name__ == "LazyVariable" else node.args[0].name)


def transform(text: str) -> tuple[str | None, str]:
    """The transform that a part is, if it is one, and its text."""
    node = _part(text)
    name = getattr(node, "callee", None)
    return (name if name in SPECIAL else None), written(node)
