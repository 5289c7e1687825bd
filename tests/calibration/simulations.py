"""Simulation-based calibration of `fit_entity`: truth from the prior, rows from the model, ranks of the
truth.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from posterity.config.schema import Gates, Inference
from posterity.inference.compiled import CompiledModel, inputs_of
from posterity.inference.posterior import Posterior
from posterity.models.arrays import arrays
from posterity.panel import Rows
from posterity.portfolio.entity import fit_entity
from posterity.portfolio.plan import Work
from tests.calibration.uniformity import pit
from tests.entities import configuration, described, prior

type Floats = NDArray[np.float64]
type Fault = Callable[[Floats, np.random.Generator], Floats]

ROWS = 12
THINNED = 63
QUANTITIES = ("intercept", "slope", "sigma", "log likelihood", "prediction")


def line() -> CompiledModel:
    """A regression with three unknowns, whose posteriors with twelve rows are skewed in sigma."""
    return described(
        configuration(
            {"dist": "Normal", "kwargs": {"mu": "curve", "sigma": prior("LogNormal", mu=-0.5, sigma=0.5)}},
            {"intercept": prior("Normal", mu=0, sigma=1), "slope": prior("Normal", mu=0, sigma=1)},
            {"curve": {"expression": "intercept + slope * x"}},
        )
    )


def transforms(
    model: CompiledModel,
    simulations: int,
    method: str,
    *,
    fault: Fault | None = None,
    copies: int = 1,
    rows: int = ROWS,
    seed: int = 7,
) -> dict[str, Floats]:
    """The probability integral transforms of every quantity, one a simulation.

    `fault` changes posterior draws (S, P) of θ's parameters before ranking; `copies` repeats every row in the
    likelihood that is fitted, which counts the data that often. With few `rows` the prior has a say.
    """
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 1, rows)
    placeholder = Rows({"x": x}, np.zeros(rows), None, rows)
    inputs = inputs_of(model, {**arrays(model.description, placeholder), **model.description.numbers})
    truths = model.parameters(model.starts(inputs, seed, simulations)[1:], inputs)
    observed, _ = model.predict(truths, inputs, rng)
    inference = Inference(method=method, draws=250 if method == "laplace" else 1_000, chains=4)  # type: ignore[arg-type]
    found: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    for i, (truth, y) in enumerate(zip(truths, observed, strict=True)):
        given = Rows({"x": np.tile(x, copies)}, np.tile(y, copies), None, copies * rows)
        work = Work(str(i), f"{i:032x}", f"{i + seed:032x}", given)
        fit = fit_entity(model, work, model.description.numbers, inference, Gates(), (0.9,))
        assert isinstance(fit.outcome, Posterior), fit.reason
        draws = fit.outcome.draws.reshape(-1, truth.size)
        if fault is not None:
            draws = fault(draws, rng)
        draws = draws[np.linspace(0, len(draws) - 1, THINNED).astype(int)]
        for j, name in enumerate(model.parameter_names):
            found[name].append(pit(truth[j], draws[:, j], rng))
        own = log_likelihood(draws, x, y)
        found["log likelihood"].append(pit(log_likelihood(truth[None], x, y)[0], own, rng))
        new = truth[0] + 0.5 * truth[1] + truth[2] * rng.standard_normal()
        predicted = draws[:, 0] + 0.5 * draws[:, 1] + draws[:, 2] * rng.standard_normal(THINNED)
        found["prediction"].append(pit(new, predicted, rng))
    return {name: np.array(values) for name, values in found.items()}


def log_likelihood(draws: Floats, x: Floats, y: Floats) -> Floats:
    """Of draws (S, 3): intercept, slope, sigma."""
    mean = draws[:, :1] + draws[:, 1:2] * x
    return norm.logpdf(y, mean, draws[:, 2:]).sum(axis=1)


def narrow(draws: Floats, rng: np.random.Generator) -> Floats:
    """Every sd times 0.8."""
    centre = draws.mean(axis=0)
    return centre + 0.8 * (draws - centre)


def shifted(draws: Floats, rng: np.random.Generator) -> Floats:
    """Every mean moved by 0.3 sd."""
    return draws + 0.3 * draws.std(axis=0)


def prior_dropped(draws: Floats, rng: np.random.Generator) -> Floats:
    """The draws of a fit that forgot its prior: reweighted by one over its density."""
    weights = 1 / (norm.pdf(draws[:, 0]) * norm.pdf(draws[:, 1]) * norm.pdf(np.log(draws[:, 2]), -0.5, 0.5))
    return draws[rng.choice(len(draws), len(draws), p=weights / weights.sum())]


def unthinned(draws: Floats, rng: np.random.Generator) -> Floats:
    """A chain whose neighbours are alike: a stretch of the draws sorted by one parameter."""
    order = np.argsort(draws[:, 0])
    start = rng.integers(0, len(draws) - len(draws) // 4)
    return draws[order[start : start + len(draws) // 4]]
