"""Models of one's own for tests, named in configurations as `tests.models.own_models:NAME`."""

from collections.abc import Mapping
from typing import Any

import pymc as pm
import pytensor.tensor as pt


def line(data: Mapping[str, Any], priors: Mapping[str, Any]) -> pm.Model:
    """A straight line, in a model that the function opens itself."""
    with pm.Model() as model:
        pm.Normal("y", priors["a"] + priors["b"] * data["x"], priors["s"], observed=data["y"])
    return model


def mixture(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """Two kinds of rows around a low and a high level."""
    low = pm.Normal.dist(priors["low"], priors["s"])
    high = pm.Normal.dist(priors["low"] + priors["step"], priors["s"])
    share = pt.stack([1 - priors["share"], priors["share"]])
    pm.Mixture("y", w=share, comp_dists=[low, high], observed=data["y"])


def named(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """With deterministics, which have a value a row and are no parameters."""
    for i in range(3):
        pm.Deterministic(f"power{i}", data["x"] ** i)
    pm.Normal("y", priors["a"] + priors["b"] * data["x"], priors["s"], observed=data["y"])


def fails(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """Asks for a column that it was not given."""
    pm.Normal("y", data["price"], 1, observed=data["y"])


def makes_its_own(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """An unknown without a declared prior."""
    pm.Normal("y", priors["a"] + pm.Normal("more"), 1, observed=data["y"])


def observes_nothing(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """No observed variable."""


def observes_another(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """What is observed is an input."""
    pm.Normal("y", priors["a"], 1, observed=data["x"])


def looks_back(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """Rows depend on the row before, and the configuration does not say so."""
    pm.Normal("y", priors["a"] * pt.roll(data["y"], 1), 1, observed=data["y"])
