import numpy as np
import pytest
from scipy import stats

from posterity.report import style
from posterity.report.density import density


@pytest.mark.parametrize("width", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("text", ["W" * 200, "i" * 200, "short", "", "\N{CJK UNIFIED IDEOGRAPH-6771}" * 90])
def test_a_fitted_line_fits_and_keeps_both_ends(text: str, width: float) -> None:
    fitted = style.fit(text, width, 10)
    assert style.measure(fitted, 10) <= width
    if fitted != style.drawable(text):
        assert "…" in fitted
        assert style.drawable(text).startswith(fitted.split("…")[0])
        assert style.drawable(text).endswith(fitted.split("…")[1])


def test_wrapping_keeps_every_word_or_says_that_it_did_not() -> None:
    text = "one two three four five " + "x" * 300 + " end"
    lines = style.wrap(text, 1.0, 9, 20)
    assert lines[0].startswith("one")
    assert lines[-1] == "end" or lines[-1].endswith("end")
    assert all(style.measure(line, 9) <= 1.0 for line in lines)
    short = style.wrap(text, 1.0, 9, 2)
    assert len(short) == 2
    assert short[-1].endswith("…")
    assert style.wrap("", 1.0, 9, 2) == []


def test_hostile_text_becomes_one_drawable_line() -> None:
    assert style.drawable("a\nb\t c\u202e\x00d") == "a b c d"
    assert style.drawable("go \N{ROCKET}") == "go □"
    names = {style.drawable(c * 2) for c in "\N{CJK UNIFIED IDEOGRAPH-6771}\N{CJK UNIFIED IDEOGRAPH-4EAC}"}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0604, "0.0604"),
        (1234567.0, "1.23e+06"),
        (12345.6, "12,346"),
        (-0.5, "−0.5"),
        (0.0, "0"),
        (1.025, "1.02"),
    ],
)
def test_numbers_read_well(value: float, text: str) -> None:
    assert style.number(value) == text


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [
        (0.06041, 0.00125, "0.0604 ± 0.0013"),
        (1234.5, 67.0, "1,234 ± 67"),
        (-0.001, 0.3, "0.00 ± 0.30"),
        (3, 0, "3 ± 0"),
    ],
)
def test_estimates_have_the_digits_that_their_sd_allows(mean: float, sd: float, text: str) -> None:
    assert style.estimate(mean, sd) == text


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 0.25, 0.5], ["0.00", "0.25", "0.50"]),
        ([1.01, 1.015, 1.02], ["1.010", "1.015", "1.020"]),
        ([0, 5e5, 1e6], ["0.0 M", "0.5 M", "1.0 M"]),
        ([-200_000, 0], ["−200 k", "0 k"]),
        ([2e-6, 4e-6], ["2e−06", "4e−06"]),
        ([], []),
    ],
)
def test_tick_labels_tell_ticks_apart(values: list[float], labels: list[str]) -> None:
    assert style.ticks(values) == labels


@pytest.mark.parametrize(
    "family", [stats.norm(3, 2), stats.halfnorm(scale=0.1), stats.expon(), stats.beta(2, 5)]
)
def test_a_density_is_near_the_truth_and_integrates_to_one(family: stats.rv_continuous) -> None:
    found = density(family.rvs(4000, random_state=1))
    assert found is not None
    assert np.trapezoid(found.y, found.x) == pytest.approx(1, abs=0.02)
    error = np.trapezoid(np.abs(found.y - family.pdf(found.x)), found.x)
    assert error < 0.08


def test_a_density_that_ignores_the_boundary_would_fail_that_test() -> None:
    draws = stats.halfnorm.rvs(size=4000, random_state=1)
    grid = np.linspace(-0.5, 4, 500)
    naive = stats.gaussian_kde(draws)(grid)
    assert np.trapezoid(np.abs(naive - stats.halfnorm.pdf(grid)), grid) > 0.08


def test_densities_of_odd_samples() -> None:
    assert density(np.array([])) is None
    assert density(np.array([np.nan, np.inf])) is None
    constant = density(np.full(10, 2.0))
    assert constant is not None
    assert constant.x.tolist() == [2.0]
    wild = density(stats.cauchy.rvs(size=2000, random_state=1))
    assert wild is not None
    assert wild.x.size > 100
    assert wild.x[-1] - wild.x[0] < 200
    pair = density(np.array([1.0, 1.0, 1.0, 2.0]))
    assert pair is not None
    assert np.isfinite(pair.y).all()
