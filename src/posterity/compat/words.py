"""The old wrapper's dictionary: a copy of the caller's, its function, and the configuration that it means."""

from collections.abc import Callable, Mapping
from typing import Any

from posterity.config import Config, from_dict
from posterity.config.legacy import KEYS, recognised
from posterity.config.words import listed, quoted
from posterity.errors import ConfigError

type Curve = Callable[..., Any] | str

ENTITY, TARGET = "series", "Y_obs"
NOISE = {"dist": "HalfNormal", "params": {"sigma": 1}}


def copied(model_config: object) -> tuple[dict[str, Any], Curve | None]:
    """A copy of the caller's dictionary in names and numbers, and the function that stood in it.

    Distributions given as PyMC's classes become their names, `params.name`, which PyMC wanted, is left out,
    and so is `function_params`. Raises ConfigError for what is no such dictionary.
    """
    if not isinstance(model_config, Mapping) or not recognised(model_config):
        wanted = f"allowed: the old wrapper's dictionary with {listed(KEYS, 'and')}"
        today = "today's configurations are for posterity.Portfolio"
        raise ConfigError([f"{quoted(model_config)} found; {wanted}; {today}"])
    words = {str(key): value for key, value in model_config.items() if key != "function_params"}
    given = model_config.get("function_params") or {}
    if not isinstance(given, Mapping) or set(given) - {"function"}:
        raise ConfigError([f"function_params: {quoted(given)} found; allowed: function"])
    function = given.get("function", words.pop("function", None))
    if function is not None and not callable(function) and not isinstance(function, str):
        raise ConfigError([f"function: {quoted(function)} found; allowed: a function, or the name of one"])
    if isinstance(words.get("variable_params"), Mapping):
        words["variable_params"] = {k: _prior(str(k), v) for k, v in words["variable_params"].items()}
    return _deep(words), function


def _prior(name: str, prior: Any) -> Any:
    if not isinstance(prior, Mapping):
        return prior  # the configuration says what is wrong with it
    found = dict(prior)
    if isinstance(dist := found.get("dist"), type):
        found["dist"] = dist.__name__
    if isinstance(found.get("params"), Mapping):
        params = dict(found["params"])
        inner = params.pop("name", name)
        if inner != name:
            said = f"{quoted(inner)} found; a variable has one name: write {name!r}, or leave it out"
            raise ConfigError([f"variable_params.{name}.params.name: {said}"])
        found["params"] = params
    return found


def _deep(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _deep(inner) for key, inner in value.items()}
    return [_deep(inner) for inner in value] if isinstance(value, list | tuple) else value


def inputs(words: Mapping[str, Any]) -> tuple[str, ...]:
    """The independent variables, in order. Raises ConfigError where they are no names."""
    named = words.get("independent_vars") or []
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ConfigError([f"independent_vars: {quoted(named)} found; allowed: a list of column names"])
    return tuple(named)


def parameters(words: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in `variable_params`, in order; what is wrong with them the configuration says."""
    priors = words.get("variable_params")
    return tuple(map(str, priors)) if isinstance(priors, Mapping) else ()


def configured(words: Mapping[str, Any], function: str) -> Config:
    """The configuration: one entity, rows in the order given, normal noise whose scale is a parameter too.

    Raises ConfigError with every problem, in the old words.
    """
    columns, unknowns = inputs(words), {*parameters(words), "sigma"}
    if twice := [name for name in columns if name in unknowns]:
        said = "is a column and a variable (sigma is the scale of the noise); rename one of the two"
        raise ConfigError([f"independent_vars: {listed(twice, 'and')} {said}"])
    taken = {*columns, *unknowns}
    data = {"entity": [free(ENTITY, taken)], "target": free(TARGET, taken)}
    found = {"name": "wrapper", **words, "function": function, "data": data}
    priors = words.get("variable_params")
    if isinstance(priors, Mapping) and "sigma" not in priors:
        # As a parameter of its own, so that a trained configuration, which declares it, is the same model.
        found["variable_params"] = {**priors, "sigma": NOISE}
    return from_dict(found)


def free(name: str, taken: set[str]) -> str:
    """The name, with underscores where it is taken."""
    while name in taken:
        name += "_"
    return name
