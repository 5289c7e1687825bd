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
from posterity.inference.advi import LARGEST, START_SD, too_many
from posterity.inference.elbo import curve
from posterity.inference.joint.certificate import khat
from posterity.inference.joint.draws import JointDraws
from posterity.inference.posterior import Floats
from posterity.inference.settling import RATES, Settling
from posterity.models.joint import SD, JointModel


def fit(joint: JointModel, inference: Inference, seed: np.random.SeedSequence, workers: int) -> JointDraws:
    """Independent draws from the Gaussian closest in Kullback-Leibler divergence, diagonal for `advi`.

    A full one begins at the diagonal one, with smaller steps: so many numbers of it move at once.
    `inference.steps` is the maximum; where the bound has not settled by then, a reason says so. k̂ compares
    the Gaussian with the exact density of all rows and entities; draws are left as they are, whatever it
    says.
    """
    begin = time.perf_counter()
    del workers  # one process: a step depends on the one before
    size = sum(int(np.prod(v.shape)) for v in joint.model.initial_point().values())
    full = inference.method == "fullrank_advi"
    if full and size > LARGEST:
        raise ModelError(too_many(size))
    first, second = (int(word) for word in seed.generate_state(2))
    with joint.model:
        try:
            approximation, watch = _settled(_narrow(joint, first), RATES, inference.steps)
            losses = approximation.hist
            if full:
                # Half of size² numbers move at every step, so each may move but a little.
                rates = [r / size for r in RATES]
                approximation, watch = _settled(_full(approximation, first), rates, inference.steps)
                losses = np.concatenate([losses, approximation.hist])
        except FloatingPointError as error:
            raise ModelError(
                f"inference.method: {inference.method} met a density that is not finite: "
                f"{str(error).splitlines()[0]}; try centered: {str(not inference.centered).lower()}, or nuts"
            ) from error
    drawn = approximation.sample_dict_fn(inference.draws * inference.chains, random_seed=second)
    name = inference.method
    return JointDraws(
        method=f"joint {name}",
        draws=_chains(_named(joint, drawn), inference.chains),
        seconds=time.perf_counter() - begin,
        khat=khat(joint, approximation, drawn),
        reasons=watch.unsettled(name, len(losses)),
        elbo=curve(losses),
    )


def _settled(method: Any, rates: Sequence[float], steps: int) -> tuple[Any, Settling]:
    rate = pytensor.shared(np.float64(rates[0]), name="learning_rate")
    watch = Settling(rates)

    def look(_: Any, losses: Floats, step: int) -> None:
        if watch.look(losses, step):
            raise StopIteration
        rate.set_value(watch.rate)

    optimizer = pm.adam(learning_rate=rate)
    # PyMC announces that it was interrupted, which here is how a fit ends.
    talk = logging.getLogger("pymc.variational.inference")
    before = talk.level
    talk.setLevel(logging.WARNING)
    try:
        fitted = method.fit(steps, callbacks=[look], progressbar=False, obj_optimizer=optimizer)
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
