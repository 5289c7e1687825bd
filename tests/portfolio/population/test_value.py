"""A population is a value: it goes through JSON to the last bit, is drawn from, and compared."""

import json
from dataclasses import replace

import numpy as np
import pytest

from posterity.errors import ResultError
from posterity.portfolio.population import Population


def population(groups: int = 0, shared: int = 1, draws: int = 50, seed: int = 0) -> Population:
    """Made up: three partial entries with correlated spreads, awkward floats."""
    rng = np.random.default_rng(seed)
    p, size = 3, 3 + shared
    lower = np.tril(0.1 * rng.normal(size=(draws, p, p)))
    lower[:, range(p), range(p)] = np.exp(rng.normal(size=(draws, p)) * 0.1) / 3
    return Population(
        entries=tuple(f"entry[{i}]" for i in range(size)),
        partial=(0, 1, 3) if shared else (0, 1, 2),
        shared=(2,) if shared else (),
        groups=tuple(f"group {g}" for g in range(groups)),
        mean=rng.normal(size=(draws, p)) * 0.1 + [1, 2, 3],
        group_means=rng.normal(size=(draws, max(1, groups), p)) * 0.1
        + 5 * np.arange(max(1, groups))[:, None],
        lower=lower,
        between=np.full((draws, p if groups else 0), 2.0),
        shared_values=rng.normal(size=(draws, shared)),
        information=np.eye(size) / 3,
        declared_mean=np.zeros(size),
        declared_sd=np.full(size, 0.1 + 0.2),
        covariance="full",
        khat=0.25,
        sweeps=4,
        converged=True,
        taught_by=("abc", "def"),
        teachers=("a / b", "c\n\N{ROCKET}"),
        rows=41,
        notes=("something",),
    )


CASES = [(groups, shared) for groups in (0, 3) for shared in (0, 1)]


@pytest.mark.parametrize(("groups", "shared"), CASES)
def test_json_and_back_is_the_same_to_the_last_bit(groups: int, shared: int) -> None:
    one = population(groups, shared)
    text = json.dumps(one.to_dict())
    back = Population.from_dict(json.loads(text))
    assert json.dumps(back.to_dict()) == text
    assert back.digest == one.digest
    for name, value in vars(one).items():
        other = getattr(back, name)
        if isinstance(value, np.ndarray):
            assert other.dtype == value.dtype
            assert other.shape == value.shape
            assert other.tobytes() == value.tobytes()
        else:
            assert other == value
            assert type(other) is type(value)
    first, second = (v.predictive("group 1", 100, np.random.default_rng(1)) for v in (one, back))
    np.testing.assert_array_equal(first, second)


def test_any_change_is_another_digest() -> None:
    one = population()
    moved = one.mean.copy()
    moved[3, 1] = np.nextafter(moved[3, 1], 9)
    assert replace(one, mean=moved).digest != one.digest
    assert replace(one, notes=()).digest != one.digest


def test_what_is_no_population_is_refused() -> None:
    content = population().to_dict()
    with pytest.raises(ResultError, match="format 99 found"):
        Population.from_dict(content | {"format": 99})
    with pytest.raises(ResultError, match="format None"):
        Population.from_dict({})
    with pytest.raises(ResultError, match="'lower' is missing"):
        Population.from_dict({k: v for k, v in content.items() if k != "lower"})


def test_the_predictive_has_both_the_spread_and_what_is_unknown_of_the_mean() -> None:
    one = population(draws=4_000)
    drawn = one.predictive(None, 40_000, np.random.default_rng(2))
    own = drawn[:, list(one.partial)]
    exact = (one.lower @ one.lower.transpose(0, 2, 1)).mean(axis=0) + np.cov(one.group_means[:, 0].T)
    np.testing.assert_allclose(np.cov(own.T), exact, atol=0.004)
    np.testing.assert_allclose(own.mean(axis=0), one.group_means[:, 0].mean(axis=0), atol=0.02)
    # Shared entries have no spread between entities.
    assert drawn[:, 2].std() == pytest.approx(one.shared_values.std(), rel=0.02)
    # The twin: an answer that knows of no spread.
    assert np.abs(np.cov(own.T) - np.cov(one.group_means[:, 0].T)).max() > 0.05


def test_a_group_nobody_taught_is_as_uncertain_as_groups_differ() -> None:
    one = population(groups=3, draws=2_000)
    rng = np.random.default_rng(3)
    known, unknown = (one.predictive(g, 20_000, rng)[:, [0, 1, 3]] for g in ("group 2", "elsewhere"))
    assert known.mean() == pytest.approx(10, abs=0.05)
    np.testing.assert_allclose(unknown.mean(axis=0), [1, 2, 3], atol=0.2)
    assert unknown.std(axis=0).min() > 1.9
    assert known.std(axis=0).max() < 0.6


def test_sds_and_correlations_are_those_of_the_factors() -> None:
    one = population()
    sigma = one.lower @ one.lower.transpose(0, 2, 1)
    np.testing.assert_allclose(one.sds**2, np.diagonal(sigma, axis1=1, axis2=2), rtol=1e-12)
    scaled = sigma / one.sds[:, :, None] / one.sds[:, None]
    np.testing.assert_allclose(one.correlations, scaled, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("groups", "shared"), CASES)
def test_a_summary_has_a_row_for_each_quantity(groups: int, shared: int) -> None:
    one = population(groups, shared)
    rows = {(row["entry"], row["quantity"]): row for row in one.summary()}
    assert len(rows) == len(one.summary()) == 3 * (3 if groups else 2) + shared
    last = one.entries[one.partial[2]]
    assert rows[last, "mean"]["mean"] == one.mean[:, 2].mean()
    assert rows[last, "sd between entities"]["sd"] == one.sds[:, 2].std()
    assert rows[last, "mean"]["lower_90"] < rows[last, "mean"]["median"] < rows[last, "mean"]["upper_90"]
    if shared:
        assert rows["entry[2]", "shared value"]["mean"] == one.shared_values.mean()


def test_doubts_say_which_certificates_fail() -> None:
    one = population()
    assert one.doubts(khat=0.7) == ()
    assert one.doubts(khat=0.2) == ("the population's k-hat 0.25 is above 0.2",)
    assert replace(one, converged=False).doubts(0.7) == ("the population had not settled after 4 sweeps",)


def test_populations_are_compared_quantity_by_quantity() -> None:
    one = population()
    same = one.compare(one)
    assert [row["shift"] for row in same] == [0] * len(same)
    assert [row["sd_ratio"] for row in same] == [1] * len(same)
    sd = one.mean[:, 1].std()
    centre = one.mean[:, 1].mean()
    moved = one.mean.copy()
    moved[:, 1] = centre + 2 * (moved[:, 1] - centre) + 3 * sd
    rows = {(row["entry"], row["quantity"]): row for row in one.compare(replace(one, mean=moved))}
    assert rows["entry[1]", "mean"]["shift"] == pytest.approx(3)
    assert rows["entry[1]", "mean"]["sd_ratio"] == pytest.approx(2)
    assert rows["entry[0]", "mean"]["shift"] == 0
    # What only one of them has is left out.
    renamed = replace(one, entries=("other", *one.entries[1:]))
    assert {row["entry"] for row in one.compare(renamed)} == {"entry[1]", "entry[2]", "entry[3]"}
