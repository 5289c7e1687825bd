"""Deterministic ADVI on a joint model: fixed draws, a second-order optimiser (Giordano, Ingram & Broderick,
JMLR 25:18, 2024).
"""

import time

import numpy as np

from posterity.config.schema import Inference
from posterity.inference.joint.draws import JointDraws
from posterity.models.joint import JointModel


def fit(joint: JointModel, inference: Inference, seed: np.random.SeedSequence, workers: int) -> JointDraws:
    """Independent draws from the diagonal Gaussian whose bound over 30 fixed draws is highest."""
    from pymc_extras.inference import fit_dadvi

    begin = time.perf_counter()
    del workers
    trace = fit_dadvi(
        joint.model,
        n_draws=inference.draws * inference.chains,
        random_seed=int(seed.generate_state(1)[0]),
        progressbar=False,
    )
    posterior = trace["posterior"]
    shape = (inference.chains, inference.draws)
    draws = {n: np.asarray(posterior[n].values) for n in joint.names}
    settled = bool(trace["optimizer_result"]["success"].values)
    return JointDraws(
        method="joint dadvi",
        draws={n: v.reshape(*shape, *v.shape[2:]) for n, v in draws.items()},
        seconds=time.perf_counter() - begin,
        reasons=() if settled else ("dadvi's optimiser stopped before its bound settled; try advi or nuts",),
    )
