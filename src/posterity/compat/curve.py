"""The old wrapper's function: called with every independent variable and every parameter by name."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from posterity.config.curves import BUILTIN_CURVES
from posterity.config.words import listed
from posterity.errors import ConfigError
from posterity.models.code import content
from posterity.models.functions import given, resolve


def named(function: Callable[..., Any] | str, names: Iterable[str], also: object = None) -> str:
    """The name under which a configuration of this process finds the function.

    `names` are those it will be called with, `also` is whatever else decides what it does. Raises
    ConfigError where it does not take these names, ModelError for a name behind which there is no function.
    """
    if isinstance(function, str) and (function in BUILTIN_CURVES or ":" not in function):
        return function  # the configuration knows the built-in ones, and what to say of other words
    name = function if isinstance(function, str) else given(function, also)
    if name in BUILTIN_CURVES:
        return name
    wanted, found = tuple(names), resolve(name)
    signature = inspect.signature(found)
    parameters = signature.parameters.values()
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    takes = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    strange = [word for word in wanted if word not in takes and not anything]
    missing = [p.name for p in parameters if _required(p) and p.name not in wanted]
    if strange or missing:
        said = [f"does not take {listed(strange, 'and')}"] if strange else []
        said += [f"takes {listed(missing, 'and')}, which is none of them"] if missing else []
        called = f"is called with the independent_vars and variable_params, {listed(wanted, 'and')}, by name"
        raise ConfigError([f"function: {name} {called}; it {' and '.join(said)}: give both the same names"])
    if all(_required(p) for p in parameters):
        return name
    # The engine leaves defaults alone and wants each argument named; here all names are passed on.
    return given(_forwarding(found, wanted), (content(found, also), wanted))


def _required(parameter: inspect.Parameter) -> bool:
    variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variable


def _forwarding(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    def curve(**values: Any) -> Any:
        return function(**values)

    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    curve.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return curve
