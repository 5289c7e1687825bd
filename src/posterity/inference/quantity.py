"""A quantity of a model given draws of its parameters: what a rule about it is decided by."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pymc as pm

from posterity.inference.compiled import VECTORS, CompiledModel, Floats, Inputs


@dataclass(frozen=True)
class DrawnQuantity:
    """The quantity `name` of a model, compiled when first used; `of` keeps it with its model."""

    model: CompiledModel
    name: str

    @classmethod
    def of(cls, model: CompiledModel, name: str) -> "DrawnQuantity":
        """The one of this model."""
        kept: dict[str, DrawnQuantity] = model.__dict__.setdefault("drawn_quantities", {})
        return kept.setdefault(name, cls(model, name))

    def __call__(self, parameters: Floats, inputs: Inputs) -> Floats:
        """Its values (S, K) for draws of all scalar parameters (S, P): K is the number of rows, or 1 for a
        quantity that no row changes.
        """
        values = np.asarray(self._function(parameters, *inputs), dtype=np.float64)
        size = len(parameters)
        return np.broadcast_to(values.reshape(len(values), -1), (size, values[0].size))

    @cached_property
    def _function(self) -> Any:
        drawn, value = self.model.graph.quantity(self.name)
        inputs = [drawn, *self.model.graph.symbols]
        return pm.compile(inputs, value, on_unused_input="ignore", **VECTORS)
