"""NUTS on a joint model through nutpie: the reference, hours long where entities are many."""

import time

import numpy as np
import nutpie

from posterity.config.schema import Inference
from posterity.inference.joint.draws import JointDraws
from posterity.models.joint import JointModel

TUNE = 1_000
"""Population sds and the entities' parameters take longer to tune than one entity does."""


def fit(joint: JointModel, inference: Inference, seed: np.random.SeedSequence, workers: int) -> JointDraws:
    """Draws by the No-U-Turn sampler (Hoffman & Gelman, JMLR 15, 2014)."""
    begin = time.perf_counter()
    compiled = nutpie.compile_pymc_model(joint.model)
    trace = nutpie.sample(
        compiled,
        draws=inference.draws,
        tune=TUNE if inference.tune == "auto" else inference.tune,
        chains=inference.chains,
        cores=max(1, min(workers, inference.chains)),
        seed=int(seed.generate_state(1)[0]),
        target_accept=inference.target_accept,
        progress_bar=False,
    )
    return JointDraws(
        method="joint nuts",
        draws={name: np.asarray(trace["posterior"][name].values) for name in joint.names},
        seconds=time.perf_counter() - begin,
        divergences=int(trace["sample_stats"]["diverging"].values.sum()),
        energy=np.asarray(trace["sample_stats"]["energy"].values),
    )
