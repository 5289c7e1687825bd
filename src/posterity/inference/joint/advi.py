"""Automatic differentiation variational inference on a joint model, with minibatches where rows are many
(Kucukelbir et al., JMLR 18:14, 2017).
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor
from pytensor.graph.replace import vectorize_graph

from posterity.config.schema import Inference
from posterity.errors import ModelError
from posterity.inference.joint.draws import JointDraws
from posterity.inference.posterior import Floats
from posterity.models.joint import SD, JointModel

RATES = (0.05, 0.01, 0.002)
"""Learning rates of Adam, each until the bound has settled: a constant one leaves the optimum noisy (Dhaka et
al., NeurIPS 2020).
"""
WINDOW = 500
"""Steps whose bounds are averaged before they are compared."""
PATIENCE = 2
"""Comparisons in a row without progress that make a bound settled."""
SETTLED = 1e-5
"""No progress: the smoothed bound rose by less than this share, or by less than its own noise..."""
QUIET = 0.01
"""... unless the noise is more than this share, as far from the optimum, where it says nothing."""
START_SD = 0.1
LARGEST = 2_000
"""Unknowns for which a full covariance is still in reach: it has half their square of numbers."""


class _Settling:
    """Watches the bound: lowers the learning rate whenever it settles, and stops after the last rate."""

    def __init__(self, rate: Any, rates: Sequence[float]) -> None:
        self._rate, self._left = rate, list(rates)
        self._since, self._calm = 0, 0
        self.settled = False
        self.change = np.inf
        rate.set_value(self._left.pop(0))

    def __call__(self, _: Any, losses: Floats, step: int) -> None:
        if step % WINDOW or step - self._since < 2 * WINDOW:
            return
        last, before = losses[step - WINDOW : step], losses[step - 2 * WINDOW : step - WINDOW]
        size = max(abs(float(last.mean())), 1.0)
        noise = 2 * float(np.hypot(last.std(), before.std())) / np.sqrt(WINDOW) / size
        self.change = float(before.mean() - last.mean()) / size
        self._calm = self._calm + 1 if self.change < max(SETTLED, noise) and noise < QUIET else 0
        if self._calm < PATIENCE:
            return
        if not self._left:
            self.settled = True
            raise StopIteration
        self._rate.set_value(self._left.pop(0))
        self._since, self._calm = step, 0


def fit(joint: JointModel, inference: Inference, seed: np.random.SeedSequence, workers: int) -> JointDraws:
    """Independent draws from the Gaussian closest in Kullback-Leibler divergence, diagonal for `advi`.

    A full one begins at the diagonal one, with smaller steps: so many numbers of it move at once.
    `inference.steps` is the maximum; where the bound has not settled by then, a reason says so.
    """
    begin = time.perf_counter()
    del workers  # one process: a step depends on the one before
    size = sum(int(np.prod(v.shape)) for v in joint.model.initial_point().values())
    full = inference.method == "fullrank_advi"
    if full and size > LARGEST:
        raise ModelError(
            f"inference.method: fullrank_advi on {size:,} unknowns would need {size * (size + 1) // 2:,} "
            f"numbers for their covariance, which is out of reach beyond {LARGEST:,} unknowns; use advi"
        )
    first, second = (int(word) for word in seed.generate_state(2))
    with joint.model:
        try:
            approximation, watch = _settled(_narrow(joint, first), RATES, inference.steps)
            if full:
                # Half of size² numbers move at every step, so each may move but a little.
                rates = [r / size for r in RATES]
                approximation, watch = _settled(_full(approximation, first), rates, inference.steps)
        except FloatingPointError as error:
            raise ModelError(
                f"inference.method: {inference.method} met a density that is not finite: "
                f"{str(error).splitlines()[0]}; try centered: {str(not inference.centered).lower()}, or nuts"
            ) from error
    drawn = approximation.sample_dict_fn(inference.draws * inference.chains, random_seed=second)
    name = inference.method
    steps = len(approximation.hist)
    why = (
        f"{name} stopped after {steps:,} steps before its bound settled (the last change was "
        f"{watch.change:.1g} of it); raise inference.steps"
    )
    return JointDraws(
        method=f"joint {name}",
        draws=_chains(_named(joint, drawn), inference.chains),
        seconds=time.perf_counter() - begin,
        reasons=() if watch.settled else (why,),
        facts={"steps": steps},
    )


def _settled(method: Any, rates: Sequence[float], steps: int) -> tuple[Any, _Settling]:
    rate = pytensor.shared(np.float64(rates[0]), name="learning_rate")
    watch = _Settling(rate, rates)
    optimizer = pm.adam(learning_rate=rate)
    # PyMC announces that it was interrupted, which here is how a fit ends.
    talk = logging.getLogger("pymc.variational.inference")
    before = talk.level
    talk.setLevel(logging.WARNING)
    try:
        fitted = method.fit(steps, callbacks=[watch], progressbar=False, obj_optimizer=optimizer)
    finally:
        talk.setLevel(before)
    return fitted, watch


def _narrow(joint: JointModel, seed: int) -> Any:
    """A diagonal approximation around the prior's centre, so narrow that no draw meets an infinity."""
    point = joint.model.initial_point()
    return pm.ADVI(random_seed=seed, start_sigma={k: np.full(np.size(v), START_SD) for k, v in point.items()})


def _full(diagonal: Any, seed: int) -> Any:
    """A full approximation that begins where a diagonal one has settled."""
    method = pm.FullRankADVI(random_seed=seed)
    mean, sd = (np.asarray(v.eval()) for v in (diagonal.mean, diagonal.std))
    method.approx.params_dict["mu"].set_value(mean)
    # PyMC keeps the diagonal of the Cholesky factor as the inverse of softplus.
    lower = np.diag(np.log(np.expm1(sd)))
    method.approx.params_dict["L_tril"].set_value(lower[np.tril_indices(len(sd))])
    return method


def _named(joint: JointModel, drawn: Mapping[str, Floats]) -> dict[str, Floats]:
    """Draws (S, ...) of the variables that say everything, from draws of the value variables."""
    found = {name: drawn[name] for name in joint.names if name in drawn}
    if SD in joint.names:
        found[SD] = _sds(joint, drawn)
    return found


def _sds(joint: JointModel, drawn: Mapping[str, Floats]) -> Floats:
    """Sds between entities from the unconstrained values of their own variables."""
    graph = joint.model.replace_rvs_by_values([joint.model[SD]])
    values = [v for v in joint.model.value_vars if v.name.startswith("spread_")]
    many = [v.type.clone(shape=(None, *v.type.shape))(name=v.name) for v in values]
    batched = vectorize_graph(graph, dict(zip(values, many, strict=True)))
    function = pytensor.function(many, batched, mode="FAST_COMPILE")
    return np.asarray(function(*(drawn[v.name] for v in values))[0])


def _chains(draws: Mapping[str, Floats], chains: int) -> dict[str, Floats]:
    return {name: values.reshape(chains, -1, *values.shape[1:]) for name, values in draws.items()}
