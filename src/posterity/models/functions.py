"""The function behind a quantity: a built-in curve, or the user's own `package.module:function`."""

import hashlib
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from posterity.errors import ModelError
from posterity.models.curves import CURVES


def resolve(name: str) -> Callable[..., Any]:
    """The callable a configuration names; ModelError where it cannot be imported."""
    if name in CURVES:
        return CURVES[name]
    module_name, _, attribute = name.partition(":")
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
    change.
    """
    if name in CURVES:
        return name
    try:
        source = inspect.getsource(inspect.getmodule(resolve(name)) or resolve(name))
    except (OSError, TypeError):
        source = name
    return hashlib.sha256(source.encode()).hexdigest()
