"""What a model remembers of the rows before: the numbers, the density, and forecasts carried on."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats

from posterity.config import Config, from_dict, to_dict
from posterity.errors import ConfigError, PanelError
from posterity.inference import compiled
from posterity.inference.compiled import CompiledModel
from posterity.models import describe
from posterity.models.arrays import arrays
from posterity.models.build import WEIGHT
from posterity.portfolio.ahead import ahead
from tests.entities import described, inputs, prior, rows

WEEKS = np.array([1.0, 2, 3, 5, 6])
Y = np.array([2.0, 2.5, 2.4, 4.1, 4.0])


def walk(growth: str = "slope", **history: Any) -> dict[str, Any]:
    """A random walk with a drift; further memories by name."""
    return {
        "name": "walk",
        "data": {"entity": "shop", "time": "week", "target": "y"},
        "model": {
            "parameters": {"slope": prior("Normal", mu=0, sigma=1), "sigma": prior("HalfNormal", sigma=1)},
            "history": {"before": {"of": "y"}, "last": {"of": "week"}, **history},
            "quantities": {
                "gap": {"expression": "week - last"},
                "m": {"expression": f"before + gap * ({growth})"},
                "s": {"expression": "sigma * sqrt(gap)"},
            },
            "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": "s"}},
        },
    }


def smoothed() -> Config:
    """Counts around an average of the logarithms of earlier ones, cleared of what the price did to them."""
    return from_dict(
        {
            "name": "smoothed",
            "data": {"entity": "shop", "time": "week", "target": "sold"},
            "model": {
                "parameters": {
                    "level": prior("Normal", mu=3, sigma=1),
                    "elasticity": prior("Normal", mu=-2, sigma=1),
                },
                "history": {
                    "recent": {"of": "sold", "transform": "log1p", "half_life": 2, "start": "level"},
                    "cost": {"of": "price", "transform": "log", "half_life": 2, "start": 0},
                },
                "quantities": {"mean": {"expression": "exp(recent + elasticity * (log(price) - cost))"}},
                "likelihood": {"dist": "NegativeBinomial", "kwargs": {"mu": "mean", "alpha": 5}},
            },
        }
    )


@pytest.fixture(autouse=True, scope="module")
def interpreted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


@pytest.fixture(scope="module")
def walking() -> CompiledModel:
    return described(from_dict(walk()))


@pytest.fixture(scope="module")
def smoothing() -> CompiledModel:
    return described(smoothed())


def test_an_average_is_exponential_smoothing_linear_in_its_start() -> None:
    sold = np.array([3.0, 8, 0, 5])
    given = arrays(describe(smoothed()), rows(sold, week=[1, 2, 4, 5], price=[1, 2, 4, 1]))
    state, expected = 7.0, []
    for value, elapsed in zip(np.log1p(sold), [1, 1, 2, 1], strict=True):
        expected.append(state)
        kept = 0.5 ** (elapsed / 2)
        state = kept * state + (1 - kept) * value
    found = given["history:recent"] + 7.0 * given["history:recent:left"]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_change_is_per_unit_of_time_and_needs_two_rows() -> None:
    pace = {"of": "y", "change": True, "half_life": 1, "start": 0.5}
    given = arrays(describe(from_dict(walk("slope + pace", pace=pace))), rows(Y, week=WEEKS))
    found = given["history:pace"] + 0.5 * given["history:pace:left"]
    third = 0.5 * 0.5 + 0.5 * (Y[1] - Y[0])
    fourth = 0.5 * third + 0.5 * (Y[2] - Y[1])
    fifth = 0.25 * fourth + 0.75 * (Y[3] - Y[2]) / 2
    np.testing.assert_allclose(found, [0.5, 0.5, third, fourth, fifth], rtol=1e-12)


def test_no_row_is_explained_by_itself_or_by_later_ones() -> None:
    description = describe(smoothed())
    whole = arrays(description, rows([3, 8, 0, 5], week=[1, 2, 4, 5], price=[1, 2, 4, 1]))
    other = arrays(description, rows([3, 8, 9, 1], week=[1, 2, 4, 5], price=[1, 2, 5, 5]))
    for name in ("history:recent", "history:cost"):
        np.testing.assert_array_equal(whole[name][:3], other[name][:3])
        assert whole[name][3] != other[name][3]  # the twin: the row after does remember


def test_the_first_row_is_given_and_the_density_is_that_of_the_increments(walking: CompiledModel) -> None:
    given = rows(Y, week=WEEKS)
    np.testing.assert_array_equal(arrays(walking.description, given)[WEIGHT], [0, 1, 1, 1, 1])
    names = walking.unconstrained_names
    thetas = np.array([[{"slope": 0.3, "sigma_log__": s}[n] for n in names] for s in (-1.0, 0.2)])
    found = walking.densities(thetas, inputs(walking, given))
    gap = np.diff(WEEKS)
    exact = [
        stats.norm(0.3 * gap, np.exp(s) * np.sqrt(gap)).logpdf(np.diff(Y)).sum()
        + stats.norm.logpdf(0.3)
        + stats.halfnorm.logpdf(np.exp(s))
        + s
        for s in (-1.0, 0.2)
    ]
    np.testing.assert_allclose(found, exact, rtol=1e-10)


def test_increments_add_up_ahead(walking: CompiledModel) -> None:
    size, rng = 40_000, np.random.default_rng(1)
    values = np.tile([{"slope": 0.3, "sigma": 0.5}[n] for n in walking.parameter_names], (size, 1))
    future, past = rows(week=[7, 8, 11]), rows(Y, week=WEEKS)
    drawn, expected = ahead(walking, walking.description.numbers, future, values, rng, past)
    steps = np.array([1.0, 2, 5])
    np.testing.assert_allclose(drawn.mean(axis=0), Y[-1] + 0.3 * steps, atol=0.03)
    np.testing.assert_allclose(drawn.std(axis=0), 0.5 * np.sqrt(steps), rtol=0.02)
    # Jointly: what a draw gave for one row it remembers at the next.
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(np.sqrt(1 / 2), abs=0.02)
    assert expected is not None
    np.testing.assert_allclose(expected[:, 1], drawn[:, 0] + 0.3)


def test_counts_ahead_follow_their_own_draws_and_the_known_price(smoothing: CompiledModel) -> None:
    size, rng = 500, np.random.default_rng(2)
    values = np.tile([{"level": 2.0, "elasticity": -1.5}[n] for n in smoothing.parameter_names], (size, 1))
    sold, price = np.array([6.0, 9, 2]), np.array([1.0, 0.5, 2])
    past, future = rows(sold, week=[1, 2, 3], price=price), rows(week=[4, 5], price=[0.5, 1])
    drawn, expected = ahead(smoothing, smoothing.description.numbers, future, values, rng, past)
    recent, cost = 2.0, 0.0
    kept = 0.5**0.5
    for value, paid in zip(np.log1p(sold), np.log(price), strict=True):
        recent, cost = kept * recent + (1 - kept) * value, kept * cost + (1 - kept) * paid
    assert expected is not None
    np.testing.assert_allclose(expected[:, 0], np.exp(recent - 1.5 * (np.log(0.5) - cost)), rtol=1e-6)
    after = kept * recent + (1 - kept) * np.log1p(drawn[:, 0])
    paid = kept * cost + (1 - kept) * np.log(0.5)
    np.testing.assert_allclose(expected[:, 1], np.exp(after + 1.5 * paid), rtol=1e-6)


def test_without_a_past_a_model_of_increments_says_nothing_and_one_with_a_start_does(
    walking: CompiledModel, smoothing: CompiledModel
) -> None:
    rng = np.random.default_rng(3)
    drawn, _ = ahead(walking, walking.description.numbers, rows(week=[1, 2]), np.ones((5, 2)), rng)
    assert np.isnan(drawn).all()
    values = np.tile([2.0, -1.5], (5, 1))
    future = rows(week=[1, 2], price=[1, 1])
    drawn, _ = ahead(smoothing, smoothing.description.numbers, future, values, rng)
    assert np.isfinite(drawn).all()


def test_a_logarithm_of_nothing_is_told() -> None:
    with pytest.raises(PanelError, match="history cost: log of price is not finite"):
        arrays(describe(smoothed()), rows([3, 8], week=[1, 2], price=[0, 2]))


def test_a_model_without_history_has_the_key_it_had() -> None:
    plain = walk()
    plain["model"]["history"] = {}
    plain["model"]["quantities"] = {"m": {"expression": "slope * week"}}
    plain["model"]["likelihood"] = {"dist": "Normal", "kwargs": {"mu": "m", "sigma": "sigma"}}
    config = from_dict(plain)
    assert describe(config).key == "ab5ffd694dfc532ab17b884d11cee6db783be8e03d479f038224817998a2ab25"
    assert "history" not in to_dict(config)["model"]
    assert from_dict(to_dict(from_dict(walk()))) == from_dict(walk())


@pytest.mark.parametrize(
    ("memory", "sentence"),
    [
        ({"of": "y", "half_life": 2}, "start is missing"),
        ({"of": "y", "change": True}, "start is missing"),
        ({"of": "y", "half_life": 2, "start": "nobody"}, "'nobody' is no parameter"),
        ({"of": "slope", "half_life": 2, "start": 0}, "'slope' is a parameter"),
        ({"of": "y", "half_life": 0, "start": 0}, "more than 0"),
        ({"of": "y", "halflife": 2, "start": 0}, "half_life"),
    ],
)
def test_mistakes_are_told(memory: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_dict(walk("slope + pace", pace=memory))


def test_a_memory_that_nobody_uses_is_told_and_so_are_missing_time_and_joint_models() -> None:
    with pytest.raises(ConfigError, match="no quantity and no likelihood uses 'pace'"):
        from_dict(walk(pace={"of": "y"}))
    timeless = walk()
    timeless["data"] = {"entity": "shop", "target": "y"}
    with pytest.raises(ConfigError, match=r"data\.time"):
        from_dict(timeless)
    with pytest.raises(ConfigError, match="joint"):
        from_dict(walk() | {"inference": {"pooling": "joint", "method": "nuts"}})
