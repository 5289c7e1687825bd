"""A published prior transfer, end to end: eight historical control groups teach the ninth.

Baeten et al., Lancet 382:1705, 2013, as analysed by the vignette of RBesT; exact by quadrature.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from posterity import Portfolio
from posterity.inference import compiled
from posterity.portfolio.result import Result

STUDIES = "abcdefgh"
SCALES = {1.0: "halfnormal_tau_1", 0.5: "halfnormal_tau_0p5"}


@pytest.fixture(scope="module")
def published(data_dir: Path) -> dict[str, Any]:
    return dict(json.loads((data_dir / "historical_controls" / "as.json").read_text()))


def config(scale: float, **transfer: Any) -> dict[str, Any]:
    """A row is a patient, so that rows of prior are patients."""
    return {
        "name": "controls",
        "data": {"entity": "study", "target": "response"},
        "model": {
            "parameters": {"theta": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2}}},
            "likelihood": {"dist": "Binomial", "kwargs": {"n": 1, "logit_p": "theta"}},
        },
        "transfer": {
            "established": {"min_rows": 20},
            "pool": {"spread": {"theta": {"dist": "HalfNormal", "kwargs": {"sigma": scale}}}},
            **transfer,
        },
        "inference": {"method": "auto", "draws": 500},
        "gates": {"ess": 200},
    }


def patients(published: dict[str, Any]) -> pa.Table:
    """Patients of the eight studies, and the six of the new trial's placebo arm, of whom one responded."""
    sizes = dict(zip(STUDIES, zip(published["r"], published["n"], strict=True), strict=True))
    sizes["new"] = (1, 6)
    study = [name for name, (_, n) in sizes.items() for _ in range(n)]
    response = [float(i < r) for r, n in sizes.values() for i in range(n)]
    return pa.table({"study": study, "response": response})


@pytest.fixture(scope="module")
def result_of(
    published: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[float], Result]:
    """The result under a prior of τ, fitted when it is first asked for."""
    folder, table = tmp_path_factory.mktemp("controls"), patients(published)

    @cache
    def fitted(scale: float) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "NUMBA", compiled.VECTORS)  # nothing to wait for
            return Portfolio(config(scale, robust=0)).fit(table, out=folder / str(scale), workers=0)

    return fitted


@pytest.mark.parametrize("scale", [1.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_the_map_prior_is_that_of_exact_quadrature(
    scale: float, result_of: Callable[[float], Result], published: dict[str, Any]
) -> None:
    population, exact, tolerance = (
        result_of(scale).population,
        published["exact_quadrature"],
        published["tolerances"],
    )
    exact = exact[SCALES[scale]]
    assert population is not None
    p = expit(population.predictive(None, 200_000, np.random.default_rng(0))[:, 0])
    found = [p.mean(), p.std(), *np.quantile(p, [0.025, 0.5, 0.975])]
    wanted = [exact["theta_star"]["mean"], exact["theta_star"]["sd"], *exact["theta_star"]["q"]]
    limits = [tolerance[f"map_{name}"] for name in ("mean", "sd", "q025", "q50", "q975")]
    print("MAP", np.round(found, 4), "exact", np.round(wanted, 4))
    assert (np.abs(np.subtract(found, wanted)) < limits).all(), (found, wanted)
    tau = population.sds[:, 0]
    print("tau", tau.mean(), tau.std(), exact["tau"])
    assert tau.mean() == pytest.approx(exact["tau"]["mean"], abs=tolerance["tau_mean"])
    assert tau.std() == pytest.approx(exact["tau"]["sd"], abs=tolerance["tau_sd"])
    # The twin: the answer to the other prior of τ is told apart.
    (other,) = (name for name in SCALES.values() if name != SCALES[scale])
    assert abs(tau.mean() - published["exact_quadrature"][other]["tau"]["mean"]) > tolerance["tau_mean"]


def test_the_mixture_that_is_used_is_that_prior_too(
    result_of: Callable[[float], Result], published: dict[str, Any]
) -> None:
    exact = published["exact_quadrature"]["halfnormal_tau_1"]["theta_star"]
    draws = result_of(1.0).table("transferred_draws.parquet").column("theta").to_numpy()
    assert expit(draws).mean() == pytest.approx(exact["mean"], abs=0.015)  # of 1,000 draws
    assert expit(draws).std() == pytest.approx(exact["sd"], abs=0.01)


def test_the_prior_is_worth_as_many_patients_as_published(
    result_of: Callable[[float], Result], published: dict[str, Any]
) -> None:
    row = result_of(1.0).entity_row("new")
    priors = [node.attributes for node in result_of(1.0).graph.nodes if node.kind == "prior"]
    (ess,) = (about["ess"] for about in priors if about["source"] == "population")
    tolerance = published["tolerances"]
    print("ess", ess)
    low, high = tolerance["ess_elir_end_to_end"]
    assert low <= row["prior_rows"] <= high
    assert row["prior_rows"] == ess["elir"]
    low, high = tolerance["ess_moment_end_to_end"]
    assert low <= ess["moment"] <= high


def test_the_new_arm_learns_from_it(result_of: Callable[[float], Result], published: dict[str, Any]) -> None:
    """One of six agrees with 0.26; the posterior hardly moves and is narrower than the prior."""
    row = result_of(1.0).entity_row("new")
    assert row["status"] == "ok", row["reason"]
    assert row["role"] == "new"
    assert row["prior"] == "population"
    assert row["conflict_p"] > 0.3
    found = result_of(1.0).parameters.set_index(["entity", "parameter"]).loc[("new", "theta")]
    draws = result_of(1.0).draws.query("entity == 'new'")["theta"]
    assert expit(draws).mean() == pytest.approx(0.247, abs=0.01)
    assert found["sd"] < 0.45
