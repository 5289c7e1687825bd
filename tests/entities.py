"""One entity at a time: a configuration, its rows, its compiled model, its fit. Shared by the tests of
several layers.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from posterity.config import Config, from_dict, to_dict
from posterity.config.schema import Gates, Inference
from posterity.config.smooth_names import spelt_out
from posterity.inference import compiled
from posterity.inference.compiled import CompiledModel, Inputs, inputs_of
from posterity.models import build, describe
from posterity.models.arrays import arrays
from posterity.models.description import Numbers
from posterity.panel import Panel, Rows
from posterity.portfolio.entity import EntityFit, fit_entity
from posterity.portfolio.plan import Work
from posterity.portfolio.prior import Prior

type Floats = NDArray[np.float64]


def prior(dist: str, **kwargs: Any) -> dict[str, Any]:
    return {"dist": dist, "kwargs": kwargs}


def configuration(
    likelihood: Mapping[str, Any],
    parameters: Mapping[str, Any],
    quantities: Mapping[str, Any] | None = None,
    *,
    coords: Mapping[str, Any] | None = None,
    time: str | None = None,
    **sections: Any,
) -> Config:
    """A configuration with the entity column `shop` and the target `y`."""
    data = {"entity": "shop", "target": "y"} | ({} if time is None else {"time": time})
    model = {"parameters": parameters, "quantities": quantities or {}, "likelihood": likelihood}
    return from_dict(
        {"name": "test", "data": data, "model": model | ({"coords": coords} if coords else {})} | sections
    )


def smoothed(config: Config) -> Config:
    """The configuration with the parameters of its smooths, whose ranges it says."""
    return from_dict(spelt_out(to_dict(config)))


def described(
    config: Config, panel: Panel | None = None, *, transferred: Iterable[str] = ()
) -> CompiledModel:
    """The model of a configuration; its density is compiled by numba when it is first used."""
    return CompiledModel(build(describe(config, panel).with_transfer(transferred)))


def interpreted(
    config: Config, panel: Panel | None = None, *, transferred: Iterable[str] = ()
) -> CompiledModel:
    """The compiled model of a configuration, run by PyTensor's own interpreter.

    Evaluations are a hundred times slower than numba's, but there are no seconds of compiling to wait for:
    for tests of many structures.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        model = described(config, panel, transferred=transferred)
        _ = model._evaluate, model._densities  # compiled now, while the patch holds
    return model


def rows(y: Any = None, **columns: Any) -> Rows:
    """Rows with these input columns (numbers or labels) and the target y."""
    target = None if y is None else np.asarray(y, dtype=np.float64)
    found = {name: np.asarray(values) for name, values in columns.items()}
    found = {
        n: v.astype(np.float64) if v.dtype.kind in "iufb" else v.astype(object) for n, v in found.items()
    }
    n = len(target) if target is not None else len(next(iter(found.values())))
    return Rows(found, target, None, n)


def inputs(model: CompiledModel, given: Rows, mixture: Numbers | None = None) -> Inputs:
    """What the functions of a model take for these rows, with the declared priors; of a transferred
    structure also with the numbers of a mixture.
    """
    numbers = {**model.description.numbers, **(mixture or {})}
    return inputs_of(model, {**arrays(model.description, given), **numbers})


def expected(model: CompiledModel, values: Mapping[str, float], given: Rows) -> Floats:
    """The expected target at these rows (n,) for parameters given by label."""
    draws = np.array([[float(values[name]) for name in model.parameter_names]])
    _, mean = model.predict(draws, inputs(model, given), np.random.default_rng(0))
    assert mean is not None
    return mean[0]


def fitted(
    model: CompiledModel,
    given: Rows,
    *,
    seed: int = 2023,
    intervals: tuple[float, ...] = (0.5, 0.99),
    gates: Gates | None = None,
    prior: Prior | None = None,
    **inference: Any,
) -> EntityFit:
    """One entity through the same function that portfolios call."""
    digest = hashlib.sha256(given.target.tobytes() if given.target is not None else b"").hexdigest()[:32]
    settings = Inference(seed=seed, **inference)
    work = Work("one", digest, digest, given)
    return fit_entity(model, work, model.description.numbers, settings, gates or Gates(), intervals, prior)
