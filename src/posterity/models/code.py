"""What a Python function does, as text: its bytecode and constants, and the values that it uses.

For functions whose module cannot be imported: cells of a notebook, lambdas, methods of an object. Functions
with equal text compute the same; the text depends on the version of Python.
"""

import hashlib
import inspect
import pickle
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

type Facts = tuple[str, Iterable[object]]


def content(*values: object) -> str:
    """Text that is equal for values that act alike: functions, and whatever they use.

    Followed are defaults, closures and globals, and with them functions and classes of the module that the
    first value is from; those of other modules stand by their names. An object is what it pickles to, and
    where it does not pickle, itself.
    """
    first = values[0]
    while isinstance(first, partial):
        first = first.func
    return "\n".join(_Reader(getattr(first, "__module__", None)).lines(values))


@dataclass(frozen=True)
class _Reader:
    """`seen` holds what has been read by its id, which keeps it alive and the id its own."""

    home: str | None
    seen: dict[int, tuple[int, object]] = field(default_factory=dict)

    def lines(self, value: object) -> Iterator[str]:
        """One line a fact."""
        if isinstance(value, types.FunctionType | type | dict | list):
            if id(value) in self.seen:
                yield f"again {self.seen[id(value)][0]}"
                return
            self.seen[id(value)] = (len(self.seen), value)
        fact, parts = self._defined(value) or _held(value)
        yield fact
        for part in parts:
            yield from self.lines(part)

    def _defined(self, value: object) -> Facts | None:
        """Of something that `def`, `class` or `lambda` made: a line, and what else has to be read."""
        match value:
            case types.CodeType():
                names = value.co_names, value.co_varnames, value.co_freevars
                arguments = value.co_argcount, value.co_kwonlyargcount
                return f"code {value.co_code.hex()} {arguments} {names}", value.co_consts
            case types.FunctionType() if value.__module__ == self.home:
                defaults = value.__defaults__, value.__kwdefaults__
                return "function", (value.__code__, *defaults, _closure(value), _globals(value))
            case type() if value.__module__ == self.home:
                members = {k: v for k, v in vars(value).items() if not k.startswith("__") or callable(v)}
                return f"class {value.__qualname__}", (value.__bases__, members)
            case types.FunctionType() | types.BuiltinFunctionType() | type():
                return f"{value.__module__}.{value.__qualname__}", ()
            case types.MethodType() | staticmethod() | classmethod():
                return "method", (value.__func__,)
            case property():
                return "property", (value.fget, value.fset)
        return None


def _held(value: object) -> Facts:
    """Of any other value: a line, and what it holds."""
    match value:
        case partial():
            return "partial", (value.func, value.args, value.keywords)
        case types.ModuleType():
            return f"module {value.__name__}", ()
        case np.ndarray() if value.dtype != object:
            return f"array {value.dtype.str} {value.shape} {_sha(value.tobytes())}", ()
        case dict():
            return f"dict {len(value)}", value.items()
        case list() | tuple():
            return f"{type(value).__name__} {len(value)}", value
        case None | bool() | int() | float() | complex() | str() | bytes():
            return repr(value), ()
    try:
        return _sha(pickle.dumps(value)), (type(value),)
    except Exception:  # whatever an object's own way to pickle raises
        return f"object {id(value)}", (type(value),)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _closure(function: types.FunctionType) -> list[object]:
    """The values that a function took from the one around it; an unset one is missing."""
    found: list[object] = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            found.append("unset")
    return found


def _globals(function: types.FunctionType) -> dict[str, object]:
    """The globals that a function, and the functions written inside it, name."""
    names: set[str] = set()
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        names.update(code.co_names)
        waiting += [constant for constant in code.co_consts if inspect.iscode(constant)]
    return {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
