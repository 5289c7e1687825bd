"""Pathfinder on a joint model: Gaussians along several ascents, weighted by Pareto-smoothed importance
sampling (Zhang et al., JMLR 23:306, 2022).
"""

import time
from typing import Any

import numpy as np

from posterity.config.schema import Inference
from posterity.errors import ModelError
from posterity.inference.joint.draws import JointDraws
from posterity.models.joint import JointModel

PATHS = 4


def fit(joint: JointModel, inference: Inference, seed: np.random.SeedSequence, workers: int) -> JointDraws:
    """Draws resampled from the paths; k̂ certifies them, and is large wherever unknowns are many."""
    from pymc_extras.inference.pathfinder import fit_pathfinder

    begin = time.perf_counter()
    del workers
    size = inference.draws * inference.chains
    try:
        trace = fit_pathfinder(
            joint.model,
            num_paths=PATHS,
            num_draws=size,
            num_draws_per_path=size,
            random_seed=int(seed.generate_state(1)[0]),
            progressbar=False,
            parallel=False,
        )
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"inference.method: pathfinder could not run: {error}; try nuts") from error
    posterior: Any = trace["posterior"]
    report: Any = trace["pathfinder"]
    shape = (inference.chains, inference.draws)
    draws = {n: np.asarray(posterior[n].values) for n in joint.names}
    khat = float(report["pareto_k"].values) if "pareto_k" in report else np.nan
    return JointDraws(
        method="joint pathfinder",
        draws={n: v.reshape(*shape, *v.shape[2:]) for n, v in draws.items()},
        seconds=time.perf_counter() - begin,
        khat=khat,
    )
