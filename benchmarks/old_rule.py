"""What the old wrapper's `export_trained_config` did, reproduced as a baseline. Not to be used for anything.

It averaged every parameter's posterior over chains, draws, entities and the entries of vectors, and then: a
Normal prior got mu = posterior mean and sigma = posterior sd; a LogNormal the same two numbers, which are
moments of the value and not of its logarithm; a HalfNormal sigma = posterior mean. All other families kept
the numbers they had, as did the noise scale inside the likelihood, which was no parameter there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posterity.config import Config, PriorSpec, from_dict, to_dict
from posterity.portfolio.labels import variables
from posterity.portfolio.result import Result

_KEYS = ("entity", "chain", "draw")


def old_rule(
    draws: Result | Mapping[str, np.ndarray],
    config: Config,
    entities: Sequence[str] | None = None,
    *,
    pooled: bool = False,
) -> Config:
    """The configuration with the priors that the old rule makes of posterior draws, and no transfer.

    `draws` is a result, of which `entities` (default: all with a posterior) are averaged over, or arrays by
    label (`theta[3]`) of shape (entity, draw), or (draw,) for a single one. The posterior sd is that of an
    entity, averaged over them, as the wrapper's was; `pooled` takes the sd of all their draws together, the
    kindest reading, which contains the spread between entities.
    """
    columns = _columns(draws, entities) if isinstance(draws, Result) else draws
    values = to_dict(config)
    values["transfer"] = None
    for variable in variables(list(columns)):
        name = variable.name
        if name not in config.model.parameters:
            continue
        arrays = [np.atleast_2d(np.asarray(columns[label], dtype=float)) for label in variable.columns]
        every = np.concatenate([array.ravel() for array in arrays])
        sd = every.std() if pooled else np.mean([array.std(axis=1).mean() for array in arrays])
        spec = config.model.parameters[name]
        changed = {**spec.to_dict(), "kwargs": _kwargs(spec, float(every.mean()), float(sd))}
        values["model"]["parameters"][name] = changed
    return from_dict(values)


def _kwargs(spec: PriorSpec, mean: float, sd: float) -> Mapping[str, Any]:
    match spec.dist:
        case "Normal" | "LogNormal":
            return {"mu": mean, "sigma": sd}
        case "HalfNormal":
            return {"sigma": abs(mean)}
    return dict(spec.to_dict().get("kwargs", {}))


def _columns(result: Result, entities: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Draws (entity, draw) by label."""
    frame = result.draws
    if entities is not None:
        frame = frame[frame["entity"].isin(set(entities))]
    sizes = frame.groupby("entity", sort=False).size()
    least = int(sizes.min())
    groups = [group for _, group in frame.groupby("entity", sort=False)]
    return {
        name: np.stack([group[name].to_numpy()[:least] for group in groups])
        for name in frame.columns
        if name not in _KEYS
    }
