"""How far a variational approximation to a joint model can be trusted: k̂ against the exact density."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from posterity.inference.advi import weighed
from posterity.inference.gaussians import LOG_2PI
from posterity.inference.posterior import Floats
from posterity.models.joint import JointModel

DRAWS = 1_000
"""Draws that are weighed: each is a pass over all rows."""


def khat(joint: JointModel, approximation: Any, drawn: Mapping[str, Floats]) -> float:
    """k̂ of the first draws (S, ...) of the value variables by PyMC's Gaussian (Yao et al., ICML 2018)."""
    some = {name: values[:DRAWS] for name, values in drawn.items()}
    size = len(next(iter(some.values())))
    density = joint.whole.compile_logp()
    log_p = np.array([density({name: v[i] for name, v in some.items()}) for i in range(size)], dtype=float)
    return weighed(log_p, _log_density(approximation, some))[1]


def _log_density(approximation: Any, drawn: Mapping[str, Floats]) -> Floats:
    """log q (S,) of draws."""
    (group,) = approximation.groups
    flat = np.concatenate([drawn[name].reshape(len(drawn[name]), -1) for name in group.ordering], axis=1)
    away = flat - np.asarray(approximation.mean.eval())
    if hasattr(group, "L"):
        lower = np.asarray(group.L.eval())
        noise, scale = np.linalg.solve(lower, away.T).T, np.log(np.diagonal(lower)).sum()
    else:
        sd = np.asarray(approximation.std.eval())
        noise, scale = away / sd, np.log(sd).sum()
    found: Floats = -0.5 * (noise**2).sum(axis=1) - scale - 0.5 * away.shape[1] * LOG_2PI
    return found
