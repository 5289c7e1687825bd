"""How an entity's rows agree with the prior that was transferred to it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from posterity.config.schema import Gates, Inference
from posterity.errors import ModelError
from posterity.inference.compiled import CompiledModel, Inputs
from posterity.inference.conflict import conflict_p
from posterity.inference.fit import Seeds
from posterity.inference.mixture import Mixture
from posterity.inference.posterior import Floats, Posterior

if TYPE_CHECKING:
    from posterity.portfolio.prior import Prior

DRAWS = 1_000
"""Draws from the prior predictive: the smallest conflict probability is 1 / 1,001."""
FEWEST = 200
CELLS = 2_000_000
"""Draws × rows held at once; longer entities get fewer draws."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The prior-data conflict probability and the posterior weight of the prior's vague component.

    None where there is none to be had: a prior predictive that is improper or too wide to draw from, no
    vague component.
    """

    conflict_p: float | None
    vague_weight: float | None


def check(model: CompiledModel, prior: "Prior | None") -> None:
    """Raise ModelError where a prior is about other unknowns than the model takes one for."""
    wanted = tuple(model.unconstrained_names[i] for i in model.transferred)
    if prior is None and wanted:
        raise ModelError(f"the model takes a transferred prior about {', '.join(wanted)}, and none is given")
    if prior is not None and tuple(prior.entries) != wanted:
        raise ModelError(
            f"the prior from {prior.source} is about {', '.join(prior.entries) or 'nothing'}, "
            f"the model takes one about {', '.join(wanted) or 'nothing'}: "
            "transfer between models with the same parameters, or match them by name"
        )


def agreement(
    model: CompiledModel,
    inputs: Inputs,
    target: Floats | None,
    prior: "Prior | None",
    posterior: Posterior,
    inference: Inference,
    seeds: Seeds,
) -> Agreement:
    """Compare observed rows (n,) with what the informative part of the prior expects of them (Box, JRSSA
    143:383, 1980), and weigh the vague component after the data.

    Parameters that are not transferred come from their declared prior; where that is flat there is no prior
    predictive. Rows whose errors depend on the row before are predicted one step ahead, each given the row
    that was observed before it.
    """
    if prior is None or target is None:
        return Agreement(None, None)
    return Agreement(
        _conflict(model, inputs, target, prior, inference, seeds), vague_weight(prior, model, posterior)
    )


def sentence(found: Agreement, prior: "Prior | None", gates: Gates) -> tuple[str, ...]:
    """Why the entity is flagged, if it is: open gates of the prior's source, or a conflict with it."""
    if prior is None:
        return ()
    if found.conflict_p is None or not found.conflict_p < gates.conflict:
        return prior.doubts
    unlike = f"the data are unlike the prior from {prior.source}"
    return (*prior.doubts, f"conflict {found.conflict_p:.2g} < {gates.conflict:g}: {unlike}")


def vague_weight(prior: "Prior", model: CompiledModel, posterior: Posterior) -> float | None:
    """Posterior probability that the vague component is the one; None without one.

    The mean over the posterior of the component's responsibility, which is that probability exactly.
    """
    if not prior.vague > 0:
        return None
    flat = posterior.unconstrained.reshape(-1, posterior.unconstrained.shape[-1])
    return float(prior.mixture.responsibilities(flat[:, model.transferred])[:, -1].mean())


def informative(prior: "Prior") -> Mixture | None:
    """The prior's mixture without its vague component, weights renormalised; None where nothing is left."""
    mixture = prior.mixture
    if not prior.vague > 0:
        return mixture
    weights = mixture.weights[:-1]
    if not weights.sum() > 0:
        return None
    return Mixture(weights / weights.sum(), mixture.means[:-1], mixture.covariances[:-1])


def _conflict(
    model: CompiledModel, inputs: Inputs, target: Floats, prior: "Prior", inference: Inference, seeds: Seeds
) -> float | None:
    mixture, own = informative(prior), set(model.owners) - set(model.description.transferred)
    if mixture is None or own & model.graph.improper:
        return None
    size = max(FEWEST, min(DRAWS, CELLS // len(target)))
    rng = np.random.default_rng(seeds.conflict)
    entries = mixture.draw(rng, size)
    if own:
        # The same for all entities with the same declared numbers, hence the root seed.
        thetas = model.declared_starts(inputs, inference.seed, size)[1:].copy()
        thetas[:, model.transferred] = entries
    else:
        thetas = entries
    try:
        predicted, _ = model.predict(model.parameters(thetas, inputs), inputs, rng)
    except ValueError:  # NumPy draws no counts beyond 64 bits: so wide a prior conflicts with nothing
        return None
    probability = conflict_p(np.asarray(predicted, dtype=np.float64), target)
    return None if np.isnan(probability) else float(probability)
