"""Beta mixtures against a published analysis of historical controls, and against scipy.

Figures: `historical_controls/README.md` (Baeten et al. 2013; vignette of the R package RBesT).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from posterity.errors import ModelError
from posterity.inference.beta_mixture import BetaMixture
from posterity.inference.effective_rows import edges_of, elir_1d, moment_1d

UNIFORM = BetaMixture(np.ones(1), np.ones(1), np.ones(1))


@pytest.fixture(scope="module")
def figures(data_dir: Path) -> dict[str, Any]:
    return json.loads((data_dir / "historical_controls" / "as.json").read_text())


@pytest.fixture(scope="module")
def published(figures: dict[str, Any]) -> BetaMixture:
    found = figures["published"]["mixture_EM_automixfit"]
    return BetaMixture(found["w"], found["a"], found["b"])


@pytest.fixture(scope="module")
def treated(figures: dict[str, Any]) -> BetaMixture:
    a, b = figures["published"]["final_analysis"]["treat_prior_beta"]
    return BetaMixture(1.0, a, b)


def test_summary_is_the_published_one(figures, published) -> None:
    """Mean and sd to the printed digits; the printed quantiles are from their solver, to 5 digits."""
    summary = figures["published"]["mixture_summary"]
    assert published.mean == pytest.approx(summary["mean"], abs=1e-8)
    assert published.sd == pytest.approx(summary["sd"], abs=1e-8)
    found = published.quantile([0.025, 0.5, 0.975])
    assert found == pytest.approx([summary[key] for key in ("q025", "q50", "q975")], abs=5e-5)
    assert published.cdf(found) == pytest.approx([0.025, 0.5, 0.975], abs=1e-10)


@pytest.mark.parametrize("method", ["elir", "moment", "morita"])
def test_effective_rows_are_the_published_ones(figures, published, method: str) -> None:
    found = getattr(published, f"{method}_rows")()
    tolerance = figures["tolerances"]["ess_from_published_mixture"]
    assert found == pytest.approx(figures["recomputed"]["ess"][method], abs=tolerance)
    assert round(found) == figures["published"]["ess_rounded"][method]


def test_general_quadrature_agrees(published) -> None:
    edges = edges_of(published.quantile, panels=200)
    for exact, general in ((published.elir_rows(), elir_1d), (published.moment_rows(), moment_1d)):
        found = general(published.log_density, lambda x: 1 / (x * (1 - x)), edges)
        assert found == pytest.approx(exact, abs=1e-3)


def test_robustified_is_the_published_one(figures, published) -> None:
    wanted = figures["published"]["robustify"]
    robust = published.robustified(0.2, mean=0.5)
    assert robust.weights == pytest.approx(wanted["w"], abs=1e-7)
    assert robust.a == pytest.approx(wanted["a"])
    assert robust.b == pytest.approx(wanted["b"])
    assert robust.elir_rows() == pytest.approx(figures["recomputed"]["robust_ess_elir"], abs=0.01)
    assert round(robust.elir_rows()) == wanted["ess_elir_rounded"]


def test_the_final_analysis_is_the_published_one(figures, published, treated) -> None:
    said, wanted = figures["published"]["final_analysis"], figures["recomputed"]["post_placebo_robust"]
    placebo = published.robustified(0.2).updated(said["placebo_r"], said["placebo_n"])
    assert placebo.weights == pytest.approx(wanted["w"], abs=1e-6)
    assert placebo.a == pytest.approx(wanted["a"])
    assert placebo.b == pytest.approx(wanted["b"])
    found = treated.updated(said["treat_r"], said["treat_n"]).above(placebo)
    tolerance = figures["tolerances"]["P_treat_gt_placebo"]
    assert found == pytest.approx(figures["recomputed"]["P_treat_gt_placebo"], abs=tolerance)
    assert found == pytest.approx(said["P_treat_gt_placebo"], abs=tolerance)
    assert int(found > 0.95) == said["decision"]
    without = published.updated(said["placebo_r"], said["placebo_n"])
    assert abs(treated.updated(said["treat_r"], said["treat_n"]).above(without) - found) > 1e-4


@pytest.mark.parametrize(("treat", "placebo"), [(15, 3), (14, 4)])
def test_decisions_are_the_published_ones(figures, published, treated, treat: int, placebo: int) -> None:
    found = treated.updated(treat, 24).above(published.updated(placebo, 6))
    assert found == pytest.approx(figures["recomputed"][f"P_{treat}_{placebo}"], abs=1e-6)
    decision = figures["published"]["decisions"][f"treat{treat}_placebo{placebo}_nonrobust"]
    assert int(found > 0.95) == decision


def test_one_beta_is_scipys() -> None:
    one, same = BetaMixture(1.0, 2.5, 0.7), stats.beta(2.5, 0.7)
    x = np.array([1e-9, 0.2, 0.7, 1 - 1e-9])
    assert one.mean == pytest.approx(same.mean())
    assert one.sd == pytest.approx(same.std())
    np.testing.assert_allclose(one.log_density(x), same.logpdf(x))
    np.testing.assert_allclose(one.cdf(x), same.cdf(x))
    np.testing.assert_allclose(one.quantile([0.01, 0.5, 0.99]), same.ppf([0.01, 0.5, 0.99]))


@pytest.mark.parametrize(("a", "b"), [(5, 15), (1, 1), (1.05, 1.0), (2_000, 3_000)])
def test_rows_of_one_beta(a: float, b: float) -> None:
    one = BetaMixture(1.0, a, b)
    # An end where the density does not vanish takes 1 off ELIR: Beta(1, 1) is worth none.
    assert one.elir_rows() == pytest.approx(
        a + b - (a == 1) - (b == 1) if a != 1.05 else 1, rel=1e-6, abs=1e-6
    )
    assert one.moment_rows() == pytest.approx(a + b)


def test_elir_diverges_below_one() -> None:
    assert np.isnan(BetaMixture(1.0, 0.5, 1.0).elir_rows())


def test_a_mode_is_the_highest() -> None:
    two = BetaMixture([0.4, 0.6], [20, 300], [60, 100])
    x = np.linspace(0.001, 0.999, 9_999)
    assert two.mode() == pytest.approx(x[two.log_density(x).argmax()], abs=1e-4)
    assert BetaMixture(1.0, 5, 15).mode() == pytest.approx(4 / 18, abs=1e-6)


def test_updating_in_two_steps_is_updating_at_once(published) -> None:
    steps, once = published.updated(3, 10).updated(1, 4), published.updated(4, 14)
    assert steps.weights == pytest.approx(once.weights, rel=1e-10)
    assert steps.a == pytest.approx(once.a)


@pytest.mark.parametrize(("a", "b"), [(0.5, 1), (1, 0.5), (0.5, 0.5), (400, 3)])
def test_probability_of_being_above(a: float, b: float) -> None:
    one = BetaMixture(1.0, a, b)
    assert one.above(one) == pytest.approx(0.5, abs=1e-10)
    assert one.above(UNIFORM) == pytest.approx(a / (a + b), abs=1e-10)
    assert UNIFORM.above(one) == pytest.approx(b / (a + b), abs=1e-10)


@pytest.mark.parametrize(
    ("weights", "a", "b", "said"),
    [
        ([0.5, 0.6], [1, 1], [1, 1], "add up to 1"),
        ([1.0], [0], [1], "above 0"),
        ([1.0], [1, 2], [1, 2], "as many weights"),
    ],
)
def test_what_is_no_mixture_is_refused(weights, a, b, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        BetaMixture(weights, a, b)


def test_more_successes_than_rows_are_refused() -> None:
    with pytest.raises(ModelError, match="7 of 6"):
        UNIFORM.updated(7, 6)
