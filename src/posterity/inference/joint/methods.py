"""Which method fits a joint model."""

from collections.abc import Callable, Mapping

import numpy as np

from posterity.config.schema import Inference
from posterity.errors import ModelError
from posterity.inference.joint import advi, dadvi, nuts, pathfinder
from posterity.inference.joint.draws import JointDraws
from posterity.models.joint import JointModel

type Method = Callable[[JointModel, Inference, np.random.SeedSequence, int], JointDraws]

METHODS: Mapping[str, Method] = {
    "nuts": nuts.fit,
    "advi": advi.fit,
    "fullrank_advi": advi.fit,
    "dadvi": dadvi.fit,
    "pathfinder": pathfinder.fit,
}


def fit_joint(
    joint: JointModel, inference: Inference, seed: np.random.SeedSequence, workers: int
) -> JointDraws:
    """Draws from the joint posterior by the configured method; ModelError where it cannot be used."""
    if inference.method not in METHODS:
        raise ModelError(
            f"inference.method: {inference.method} fits one entity at a time; joint models take "
            f"{', '.join(METHODS)}"
        )
    return METHODS[inference.method](joint, inference, seed, workers)
