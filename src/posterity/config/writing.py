"""A `Config` to YAML, to other values, and to the JSON Schema that editors read."""

from collections.abc import Mapping
from typing import Any

import yaml

from posterity.config.findings import dotted
from posterity.config.loading import from_dict
from posterity.config.priors import LIMITS, Likelihood, PriorSpec
from posterity.config.schema import Config
from posterity.config.transfer import Transfer
from posterity.config.values import scalar
from posterity.config.words import listed, meant, quoted
from posterity.errors import ConfigError, Problem


def to_dict(config: Config) -> dict[str, Any]:
    """The resolved configuration in plain values: every default written out, priors in their short form."""
    data: dict[str, Any] = config.model_dump(by_alias=True)
    model = config.model
    data["model"]["parameters"] = {name: prior.to_dict() for name, prior in model.parameters.items()}
    data["model"]["quantities"] = {
        name: quantity.model_dump(exclude_defaults=True) for name, quantity in model.quantities.items()
    }
    if not config.data.scale:
        del data["data"]["scale"]
    for key in ("assumptions", "actionable"):
        if not data[key]:
            del data[key]
    if not model.history:
        del data["model"]["history"]
    if model.build is None:
        del data["model"]["build"]
    if model.likelihood is None:
        del data["model"]["likelihood"]
    else:
        data["model"]["likelihood"] = _likelihood(model.likelihood)
    if config.transfer is not None:
        spread = config.transfer.pool.spread
        data["transfer"]["pool"]["spread"] = {name: prior.to_dict() for name, prior in spread.items()}
        for rule in data["transfer"]["rules"]:
            if isinstance(rule["from"], dict):
                rule["from"] = {kind: name for kind, name in rule["from"].items() if name is not None}
    return {key: _plain(value) for key, value in data.items()}


def _likelihood(likelihood: Likelihood) -> dict[str, Any]:
    data: dict[str, Any] = {"dist": likelihood.dist}
    if likelihood.kwargs:
        data["kwargs"] = {
            name: value.to_dict() if isinstance(value, PriorSpec) else value
            for name, value in likelihood.kwargs.items()
        }
    if likelihood.errors is not None:
        data["errors"] = {"ar1": {"rho": likelihood.errors.rho.to_dict()}}
    for key in LIMITS:
        if (limits := getattr(likelihood, key)) is not None:
            data[key] = limits.model_dump(exclude_none=True)
    if likelihood.weights is not None:
        data["weights"] = likelihood.weights
    return data


def to_yaml(config: Config) -> str:
    """The resolved configuration as YAML that loads back equal."""
    return as_yaml(to_dict(config))


def as_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as YAML that `config.positions.read` gives back equal, floats to the last bit."""
    return yaml.dump(
        values,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=100,
    )


def with_overrides(config: Config, overrides: Mapping[str, Any]) -> Config:
    """The configuration with other values at dotted paths, checked as a whole again.

    >>> with_overrides(config, {"inference.method": "nuts", "data.source": "panel.parquet"})  # doctest: +SKIP

    Raises `ConfigError` for unknown paths and for whatever the new values make wrong."""
    data = to_dict(config)
    problems = []
    for path, value in overrides.items():
        *sections, last = path.split(".")
        part: Any = data
        for depth, key in enumerate(sections):
            if part is data and key == "transfer" and data["transfer"] is None:
                data["transfer"] = _plain(Transfer().model_dump(by_alias=True))
            if not isinstance(part, dict) or key not in part:
                known = part if isinstance(part, dict) else ()
                hint = f"; allowed: {listed(known)}{meant(key, known)}" if known else ""
                problems.append(
                    Problem(f"{dotted(tuple(sections[: depth + 1]))}: no such section to override{hint}")
                )
                break
            part = part[key]
        else:
            if isinstance(part, dict):
                part[last] = value
            else:
                problems.append(
                    Problem(
                        f"{path}: {'.'.join(sections)} is {quoted(part)}, which holds nothing to override"
                    )
                )
    if problems:
        raise ConfigError(problems)
    return from_dict(data)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a configuration file, for editors; `posterity schema` prints it."""
    schema: dict[str, Any] = _any_of(Config.model_json_schema())
    for section in ("PriorSpec", "Likelihood"):
        properties = schema["$defs"][section]["properties"]
        properties["params"] = {**properties["kwargs"], "description": "The old wrapper's word for kwargs."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Posterity configuration",
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML quotes what YAML 1.1 would misread; the reader follows 1.2, where `1e-3` is a number too.
    try:
        style = None if isinstance(scalar(text), str) else "'"
    except ValueError:
        style = "'"
    if not text.isprintable():
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _any_of(schema: Any) -> Any:
    """`oneOf` as `anyOf`: a whole number is both an integer and a number, which `oneOf` would refuse."""
    if isinstance(schema, dict):
        return {("anyOf" if key == "oneOf" else key): _any_of(inner) for key, inner in schema.items()}
    return [_any_of(inner) for inner in schema] if isinstance(schema, list) else schema
