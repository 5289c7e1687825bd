"""Simulation-based calibration of transfer as a whole: a population from its hyperprior, entities from it,
rows from them; the population is learned, becomes a prior, and a new entity's posterior ranks its truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from posterity.config.schema import Gates, Inference
from posterity.inference.compiled import compiled
from posterity.inference.posterior import Posterior
from posterity.panel import Rows
from posterity.portfolio.entity import fit_entity
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan, Work
from posterity.portfolio.population import Population, Teacher, learn
from posterity.portfolio.population.prepare import likelihood_inputs
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.prior import Prior
from posterity.portfolio.transfer import Maker
from tests.calibration.uniformity import pit

type Floats = NDArray[np.float64]
type Fault = Callable[[Any], Any]

WIDE, SCALE = 1.0, 1.0
"""Prior sd of the population's mean, scale of the half-normal prior of the sd between entities."""
NOISE, NOISE_SD = 1.5, 0.3
"""Median of the shared noise, sd of its logarithm."""
ERROR = 0.5
"""The noise where it is known."""
VAGUE = 6.0
"""How much less a new entity's row says than a teacher's, where noise is known."""
THINNED = 63
NEW = "new"


@dataclass(frozen=True)
class Design:
    """So many teachers with so many rows; the noise is known, or shared and learned too."""

    teachers: int = 10
    rows: int = 1
    shared: bool = False

    @property
    def config(self) -> dict[str, Any]:
        sigma: Any = "error"
        if self.shared:
            sigma = {"dist": "LogNormal", "kwargs": {"mu": float(np.log(NOISE)), "sigma": NOISE_SD}}
        pool = {"spread": {"level": {"dist": "HalfNormal", "kwargs": {"sigma": SCALE}}}}
        return {
            "name": "calibration",
            "data": {"entity": "entity", "target": "y"},
            "model": {
                "parameters": {"level": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": WIDE}}},
                "likelihood": {"dist": "Normal", "kwargs": {"mu": "level", "sigma": sigma}},
            },
            "transfer": {
                "established": {"entities": ["teacher *"], "min_rows": 1},
                "pool": pool | ({"shared": ["sigma"]} if self.shared else {}),
                "robust": 0,
            },
        }

    def plan(self) -> Plan:
        """A plan of such a portfolio, whatever its rows."""
        names = [f"teacher {i}" for i in range(self.teachers) for _ in range(self.rows)]
        frame = pd.DataFrame({"entity": [*names, NEW], "y": 0.0, "error": ERROR})
        return Portfolio(self.config).plan(frame)


@dataclass(frozen=True)
class Simulation:
    """A new entity's truth and rows, and the population that others taught."""

    level: float
    noise: float
    given: Rows
    population: Population


def simulate(design: Design, plan: Plan, simulations: int, seed: int, copies: int = 1) -> list[Simulation]:
    """Populations learned from simulated teachers, each of them `copies` times over."""
    from posterity.portfolio.learning import population_setting

    how, out = population_setting(plan), []
    for one in range(simulations):
        rng = np.random.default_rng([seed, one])
        mean, spread = WIDE * rng.standard_normal(), SCALE * abs(rng.standard_normal())
        noise = NOISE * np.exp(NOISE_SD * rng.standard_normal()) if design.shared else ERROR
        teachers = []
        for i in range(design.teachers):
            given = _rows(mean + spread * rng.standard_normal(), noise, design.rows, rng)
            inputs = likelihood_inputs(how.model, given, plan.description.numbers)
            teachers += [Teacher(f"{i}.{c}", f"{i:08x}", "", inputs, given.n) for c in range(copies)]
        level = mean + spread * rng.standard_normal()
        own = noise if design.shared else VAGUE * noise
        given = _rows(level, own, 1, rng)
        out.append(Simulation(level, own, given, learn(how, teachers).population))
    return out


def _rows(level: float, noise: float, n: int, rng: np.random.Generator) -> Rows:
    return Rows({"error": np.full(n, noise)}, level + noise * rng.standard_normal(n), None, n)


def transforms(
    design: Design,
    plan: Plan,
    given: Sequence[Simulation],
    folder: Path,
    *,
    of_population: Fault = lambda p: p,
    of_prior: Fault = lambda p: p,
    seed: int = 7,
) -> dict[str, Floats]:
    """Probability integral transforms of the new entity's parameters and its log likelihood.

    The faults change the population before it becomes a prior, and the prior before it is used.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {"level": [], "log likelihood": []} | (
        {"sigma": []} if design.shared else {}
    )
    for number, one in enumerate(given):
        draws = _posterior(plan, one, of_population(one.population), of_prior, folder, number)
        draws = draws[np.linspace(0, len(draws) - 1, THINNED).astype(int)]
        found["level"].append(pit(one.level, draws[:, 0], rng))
        noise = draws[:, 1:] if design.shared else np.full((len(draws), 1), one.noise)
        if design.shared:
            found["sigma"].append(pit(one.noise, draws[:, 1], rng))
        y = one.given.target
        assert y is not None
        likelihoods = norm.logpdf(y, draws[:, :1], noise).sum(axis=1)
        truth = float(norm.logpdf(y, one.level, one.noise).sum())
        found["log likelihood"].append(pit(truth, likelihoods, rng))
    return {name: np.array(values) for name, values in found.items()}


def _posterior(
    plan: Plan, one: Simulation, population: Population, of_prior: Fault, folder: Path, number: int
) -> Floats:
    """Draws (S, P) of the new entity, through the functions that a portfolio calls."""
    maker = Maker(plan, Parts(folder))
    maker.__dict__["_population"] = replace(population, teachers=())  # the plan's panel holds none of them
    prior, note = maker.prior_of(NEW)
    assert isinstance(prior, Prior), note
    prior = of_prior(prior)
    model = compiled(plan.description.with_transfer(plan.description.priors))
    work = Work(NEW, f"{number:032x}", f"{number + 1:032x}", one.given)
    inference, gates = Inference(method="auto", draws=250, chains=4), Gates(ess=50)
    fit = fit_entity(model, work, plan.description.numbers, inference, gates, (0.9,), prior)
    assert isinstance(fit.outcome, Posterior), fit.reason
    return fit.outcome.draws.reshape(-1, fit.outcome.draws.shape[-1])


def no_spread(population: Population) -> Population:
    """As if entities were all alike."""
    return replace(population, lower=1e-3 * population.lower)


def narrow(prior: Prior) -> Prior:
    """Every sd halved."""
    return replace(prior, mixture=prior.mixture.spread(0.5))
