"""The function behind a quantity: a built-in curve, the user's own `package.module:function`, or one that was
given in Python and lives in this process only.
"""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from posterity.errors import ModelError
from posterity.models import code
from posterity.models.curves import CURVES

GIVEN = "python"
"""Stands for the module in the names of functions that cannot be imported."""

_given: dict[str, Callable[..., Any]] = {}


def given(function: Callable[..., Any], also: object = None) -> str:
    """A name by which a configuration can use a callable in this process.

    That of a built-in curve or `package.module:function` where this is what an import would find. Any other,
    such as a lambda or a function of a notebook, is remembered as `python:NAME_DIGEST`, the digest being that
    of its code, of what it uses and of `also`, so that the same code has the same name.
    """
    found = next((name for name, curve in CURVES.items() if curve is function), None)
    if found is not None:
        return found
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    # A notebook or script is not to be found by that name elsewhere.
    if module not in (None, "__main__") and name.isidentifier() and also is None:
        there = getattr(sys.modules.get(module or ""), name, None)
        if there is function:
            return f"{module}:{name}"
    word = "".join(c for c in name.rpartition(".")[2] if c.isalnum() or c == "_") or "function"
    digest = hashlib.sha256(code.content(function, also).encode()).hexdigest()
    known = f"{GIVEN}:{word}_{digest[:16]}"
    _given[known] = function
    return known


def resolve(name: str) -> Callable[..., Any]:
    """The callable a configuration names; ModelError where it cannot be found."""
    if name in CURVES:
        return CURVES[name]
    if name in _given:
        return _given[name]
    module_name, _, attribute = name.partition(":")
    if module_name == GIVEN:
        raise ModelError(
            f"function {name!r} was given in Python, to another process; give it here too, or put it into a "
            "module and name it `package.module:function`"
        )
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        raise ModelError(
            f"function {name!r}: module {module_name!r} cannot be imported ({error}); "
            "is its folder on PYTHONPATH, or its package installed?"
        ) from error
    except AttributeError:
        raise ModelError(
            f"function {name!r}: module {module_name!r} has nothing called {attribute!r}"
        ) from None
    if not callable(function):
        raise ModelError(f"function {name!r} is a {type(function).__name__}, not a function")
    return function  # type: ignore[no-any-return]


def argument_names(name: str) -> tuple[str, ...]:
    """Arguments that must be given a value; those with a default are left to it unless the configuration
    maps them.
    """
    parameters = inspect.signature(resolve(name)).parameters.values()
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY) for p in parameters):
        raise ModelError(
            f"function {name!r} takes *args, **kwargs or positional-only arguments; "
            "its arguments are matched by name, so name each of them"
        )
    return tuple(p.name for p in parameters if p.default is p.empty)


def code_digest(name: str) -> str:
    """Hash of what a function does, so that a changed function is a changed model.

    For one's own it is that of its whole module, where the functions and constants lie that it uses; what it
    imports from elsewhere is not seen. Built-in curves belong to the engine, whose version says when they
    change. The name of a function given in Python says what it does.
    """
    if name in CURVES or name in _given:
        return name
    try:
        source = inspect.getsource(inspect.getmodule(resolve(name)) or resolve(name))
    except (OSError, TypeError):
        source = name
    return hashlib.sha256(source.encode()).hexdigest()
