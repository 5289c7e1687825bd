"""Configurations: YAML in, frozen values out, every problem of a file in one error that says what to write.

`load`, `loads` and `from_dict` make a `Config`; `to_yaml` writes it back, `with_overrides` changes values at
dotted paths, `json_schema` is what editors read.
"""

from posterity.config.loading import from_dict, load, loads
from posterity.config.priors import Ar1, Likelihood, PriorSpec, Quantity
from posterity.config.schema import Config, percent
from posterity.config.writing import json_schema, to_dict, to_yaml, with_overrides

__all__ = [
    "Ar1",
    "Config",
    "Likelihood",
    "PriorSpec",
    "Quantity",
    "from_dict",
    "json_schema",
    "load",
    "loads",
    "percent",
    "to_dict",
    "to_yaml",
    "with_overrides",
]
