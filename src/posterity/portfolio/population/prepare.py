"""From a configuration and entities' rows to what `learn` takes."""

from collections.abc import Iterable, Mapping

import numpy as np

from posterity.config import Config
from posterity.config.transfer import Transfer
from posterity.errors import ModelError
from posterity.inference.compiled import CompiledModel, Inputs, compiled, inputs_of
from posterity.inference.declared import declared_moments
from posterity.inference.transferred import flat
from posterity.models import Description
from posterity.models.arrays import arrays
from posterity.models.description import Numbers
from posterity.panel import Rows
from posterity.portfolio.population.conditional import Entries
from posterity.portfolio.population.sweep import Setting

STARTS = 32


def transferred(config: Config, description: Description) -> Description:
    """The structure in which a mixture stands for the prior of every parameter that is not independent."""
    independent = (config.transfer or Transfer()).pool.independent
    return description.with_transfer(tuple(n for n in description.priors if n not in independent))


def entries_of(model: CompiledModel, config: Config) -> Entries:
    """Which entries of θ are partial, shared and independent."""
    pool = (config.transfer or Transfer()).pool

    def where(names: Iterable[str]) -> np.ndarray:
        return np.array([i for i, owner in enumerate(model.owners) if owner in names], dtype=np.int64)

    rest = set(model.owners) - set(pool.shared) - set(pool.independent)
    return Entries(where(rest), where(set(pool.shared)), where(set(pool.independent)))


def likelihood_inputs(model: CompiledModel, rows: Rows, numbers: Numbers) -> Inputs:
    """Inputs of a transferred structure under the flat mixture: densities are likelihoods.

    `numbers` are those of the declared priors: `model` may have been compiled for another configuration of
    the same structure.
    """
    given: Mapping[str, np.ndarray] = {
        **arrays(model.description, rows),
        **numbers,
        **flat(len(model.transferred)),
    }
    return inputs_of(model, given)


def setting(config: Config, description: Description, rows: Rows) -> Setting:
    """How a population of this configuration is learned; `rows` of any entity give shapes to the inputs."""
    structure = transferred(config, description)
    model = compiled(structure)
    inputs = likelihood_inputs(model, rows, description.numbers)
    mean, sd = declared_moments(model, inputs)
    pool = (config.transfer or Transfer()).pool
    flat_priors = sorted({model.owners[i] for i in np.flatnonzero(~np.isfinite(sd))} - set(pool.independent))
    if flat_priors:
        raise ModelError(
            "a population cannot be learned where nothing is believed beforehand: "
            f"{', '.join(flat_priors)} has a flat prior; give it a proper one, or name it in "
            "transfer.pool.independent"
        )
    return Setting(
        structure,
        entries_of(model, config),
        mean,
        sd,
        model.starts(inputs, config.inference.seed, STARTS),
        inputs,
        {i: pool.spread[owner] for i, owner in enumerate(model.owners) if owner in pool.spread},
        pool.covariance,
        config.inference.seed,
    )
