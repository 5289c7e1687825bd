"""The trained configuration in the old wrapper's words, its joint prior beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posterity.compat.words import copied
from posterity.config import Config, PriorSpec
from posterity.config.writing import as_yaml
from posterity.errors import ConfigError
from posterity.inference.posterior import Floats
from posterity.portfolio import prior_file
from posterity.portfolio.readable import readable
from posterity.portfolio.store import atomic

if TYPE_CHECKING:
    from posterity.portfolio.export import Exported

_INDEPENDENT = (
    "The priors of variable_params are independent: how the parameters depend on each other is not in them."
)
_JOINT = "It is in {file}, the joint prior, which takes their place wherever the transfer section stands."
_LOST = "It is lost: a trace that was loaded has no joint prior; export after fit to keep it."
_TWICE = "The rows of this fit are inside these priors: fit new rows with them, not the same ones again."


def priors(config: Config, draws: Mapping[str, Floats]) -> dict[str, PriorSpec]:
    """Readable priors of a model without vectors, from draws (S,) by parameter."""
    return {name: readable(name, spec, draws[name]) for name, spec in config.model.parameters.items()}


def words(model_config: Mapping[str, Any], trained: Mapping[str, PriorSpec]) -> dict[str, Any]:
    """The caller's configuration with these priors; no `function_params`, which YAML cannot hold."""
    found, _ = copied(model_config)
    if isinstance(name := model_config.get("function"), str):
        found["function"] = name
    found.pop("transfer", None)
    found["variable_params"] = {name: _prior(spec) for name, spec in trained.items()}
    return found


def _prior(spec: PriorSpec) -> dict[str, Any]:
    values = spec.to_dict()
    return {"dist": values.pop("dist"), "params": values.pop("kwargs", {}), **values}


def write(found: Mapping[str, Any], exported: "Exported | None", file_path: str | Path) -> dict[str, Any]:
    """Write a trained configuration, and beside `x.yaml` the joint prior `x.prior.yaml` that it then names.

    The path is the one given here, found from the folder in which this was called. Returns what was written.
    """
    target, values = Path(file_path), dict(found)
    beside = target.with_name(f"{target.stem}.prior.yaml")
    if beside == target:
        raise ConfigError([f"{target}: is the name of its own prior file; write the configuration elsewhere"])
    notes = [_INDEPENDENT, _LOST, _TWICE]
    if exported is not None:
        values["transfer"] = {"rules": [{"learn": "*", "from": {"file": beside.as_posix()}}]}
        notes = [_INDEPENDENT, _JOINT.format(file=beside.name), _TWICE, *exported.notes]
        prior_file.save(exported.prior, beside)
    text = "".join(f"# {note}\n" for note in notes) + as_yaml(values)
    with atomic(target) as file:
        file.write(text.encode())
    return values
