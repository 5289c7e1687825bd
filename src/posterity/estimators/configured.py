"""An estimator's parameters as a configuration of one entity."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posterity.config import Config, from_dict, load, to_dict
from posterity.config.build import spelt_out
from posterity.config.curves import BUILTIN_CURVES
from posterity.config.words import listed, meant
from posterity.errors import ConfigError

ENTITY = "_entity"
TARGET = "_target"
"""Names of the columns that an estimator's table has besides its features."""

type Model = Config | Mapping[str, Any] | str | Path
type Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a posterior is computed and when it is flagged, in a configuration's words."""

    method: str
    draws: int
    chains: int
    seed: int
    gates: Mapping[str, Any]

    def configuration(self, model: Raw) -> Config:
        """The configuration of one entity with this model section. Raises ConfigError with every problem."""
        inference = {"method": self.method, "draws": self.draws, "chains": self.chains, "seed": self.seed}
        return from_dict(
            {
                "name": "estimator",
                "data": {"entity": ENTITY, "target": TARGET},
                "model": model,
                "inference": {name: plain(value) for name, value in inference.items()},
                "gates": plain(self.gates),
            }
        )


def section(model: Model, priors: Mapping[str, Any] | None) -> Raw:
    """The model section of a configuration (path, dictionary or Config) or that section itself, in plain
    values; where `priors` names a parameter, that prior instead.

    Curves that take the time column for their x get it by name, for an estimator knows no time, and so do
    functions that build a model. Raises ConfigError for what is none, and for models whose rows depend on
    each other, as an estimator's rows have no order.
    """
    found = _section(model)
    build = mapping(spelt_out(found.get("build")))
    if found.get("history") or mapping(found.get("likelihood")).get("errors") or build.get("lookback"):
        raise ConfigError(
            [
                (
                    "the model's rows depend on the rows before them (history, lookback or errors: ar1), and "
                    "an estimator's rows have no order; fit it with posterity.Portfolio, or leave that out"
                )
            ]
        )
    return replaced(found, priors or {})


def _section(model: Model) -> Raw:
    match model:
        case Mapping() if "model" not in model and ("likelihood" in model or "build" in model):
            return {**model}
        case Config():
            config = model
        case Mapping():
            config = from_dict(model)
        case str() | Path():
            config = load(model)
        case _:
            raise ConfigError(
                [
                    (
                        f"model is a {type(model).__name__}; give the path of a configuration, a "
                        "configuration as a dictionary or Config, its model section, or None for the default"
                    )
                ]
            )
    found: Raw = to_dict(config)["model"]
    time = config.data.time
    for quantity in found["quantities"].values():
        if time is not None and "x" in BUILTIN_CURVES.get(quantity.get("function"), ()):
            quantity["arguments"] = {"x": time} | quantity.get("arguments", {})
    if time is not None and (build := found.get("build")) is not None:
        found["build"] = {**build, "columns": list(dict.fromkeys((time, *build["columns"])))}
    return found


def replaced(model: Raw, priors: Mapping[str, Any]) -> Raw:
    """The section with these priors. Raises ConfigError for a name that is no parameter of the model."""
    parameters, likelihood = dict(mapping(model.get("parameters"))), dict(mapping(model.get("likelihood")))
    kwargs = dict(mapping(likelihood.get("kwargs")))
    inner = [name for name, value in kwargs.items() if isinstance(value, Mapping)]
    check_names(priors, [*parameters, *inner])
    for name, prior in priors.items():
        (parameters if name in parameters else kwargs)[name] = plain(prior)
    told = {"likelihood": {**likelihood, "kwargs": kwargs}} if likelihood else {}
    return {**model, "parameters": parameters, **told}


def check_names(priors: Mapping[str, Any], known: list[str]) -> None:
    """Raise ConfigError where a prior is given for something that is no parameter."""
    if not isinstance(priors, Mapping):
        raise ConfigError([f"priors is a {type(priors).__name__}; give a dictionary, parameter -> prior"])
    if strange := [name for name in priors if name not in known]:
        raise ConfigError(
            [
                f"priors: the model has no parameter {name!r}; it has {listed(known, 'and')}"
                f"{meant(str(name), known)}"
                for name in strange
            ]
        )


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping, or an empty one where a caller wrote something else (which the checks will say)."""
    return value if isinstance(value, Mapping) else {}


def plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's, priors (ours or pymc_extras') as dictionaries."""
    match value:
        case np.generic() | np.ndarray():
            return value.tolist()
        case Mapping():
            return {name: plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _ if hasattr(value, "to_dict"):
            return plain(value.to_dict())
        case _:
            return value
