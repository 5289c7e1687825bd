"""Expressions of a configuration against NumPy, through the whole way from its text to the expected
target.
"""

import numpy as np
import pytest
from scipy import special

from posterity.config.expressions import FUNCTIONS as ALLOWED
from posterity.errors import ConfigError
from posterity.models.expressions import BINARY, COMPARE, FUNCTIONS
from tests.entities import Floats, configuration, described, expected, prior, rows

X = np.array([0.2, 0.9, 0.5, 0.7])
Z = np.array([-1.5, 0.0, 2.0, 3.7])
VALUES = {"a": 0.6, "b": -1.3, "sigma": 1.0}
NAMES = {"x": X, "z": Z, "a": 0.6, "b": -1.3}

# What is written, and the same in NumPy.
CASES = {
    "exp(a * x)": lambda x, z, a, b: np.exp(a * x),
    "log(x)": lambda x, z, a, b: np.log(x),
    "log1p(x)": lambda x, z, a, b: np.log1p(x),
    "expm1(z)": lambda x, z, a, b: np.expm1(z),
    "sqrt(x)": lambda x, z, a, b: np.sqrt(x),
    "abs(z * b)": lambda x, z, a, b: np.abs(z * b),
    "sin(z)": lambda x, z, a, b: np.sin(z),
    "cos(z)": lambda x, z, a, b: np.cos(z),
    "tan(z)": lambda x, z, a, b: np.tan(z),
    "tanh(z)": lambda x, z, a, b: np.tanh(z),
    "sigmoid(z)": lambda x, z, a, b: special.expit(z),
    "logit(x)": lambda x, z, a, b: special.logit(x),
    "softplus(z)": lambda x, z, a, b: np.log1p(np.exp(z)),
    "erf(z)": lambda x, z, a, b: special.erf(z),
    "minimum(x, a)": lambda x, z, a, b: np.minimum(x, a),
    "maximum(x, a)": lambda x, z, a, b: np.maximum(x, a),
    "where(z > 0, a, x)": lambda x, z, a, b: np.where(z > 0, a, x),
    "clip(z, b, 2)": lambda x, z, a, b: np.clip(z, b, 2),
    "floor(z)": lambda x, z, a, b: np.floor(z),
    "a + b * x": lambda x, z, a, b: a + b * x,
    "a - b - x": lambda x, z, a, b: a - b - x,
    "a / b / x": lambda x, z, a, b: a / b / x,
    "x ** a ** 2": lambda x, z, a, b: x ** (a**2),
    "-x ** 2": lambda x, z, a, b: -(x**2),
    "+a - -b": lambda x, z, a, b: np.full(4, a + b),
    "(x < 0.6) + 2 * (x <= 0.5)": lambda x, z, a, b: (x < 0.6) + 2 * (x <= 0.5),
    "(x > a) - (z >= 2)": lambda x, z, a, b: (x > a) * 1.0 - (z >= 2),
    "(x > 0.4) + (x > 0.6)": lambda x, z, a, b: (x > 0.4) * 1.0 + (x > 0.6),
    "-(x > 0.6) + 300 * (x > 0.4)": lambda x, z, a, b: -1.0 * (x > 0.6) + 300 * (x > 0.4),
    "7 / 2 + 2 ** -1 + floor(7 / 2) + 0 * x": lambda x, z, a, b: np.full(4, 7.0),
    "3 * (z == 2) + (z != 0)": lambda x, z, a, b: 3 * (z == 2) + (z != 0),
    "1.5e-1 * a": lambda x, z, a, b: np.full(4, 0.15 * a),
}


@pytest.fixture(scope="module")
def found() -> dict[str, Floats]:
    """What every case gives at the four rows: one model for all, in which a column says whose turn it is."""
    quantities = {}
    for i, text in enumerate(CASES):
        quantities[f"q{i}"] = {"expression": text}
        before = f"m{i - 1}" if i else "0 * (a + b + x + z)"
        quantities[f"m{i}"] = {"expression": f"{before} + where(turn == {i}, q{i}, 0)"}
    config = configuration(
        {"dist": "Normal", "kwargs": {"mu": f"m{len(CASES) - 1}", "sigma": prior("HalfNormal", sigma=1)}},
        {"a": prior("Normal"), "b": prior("Normal")},
        quantities,
    )
    turns = np.repeat(np.arange(len(CASES)), len(X))
    given = rows(turn=turns, x=np.tile(X, len(CASES)), z=np.tile(Z, len(CASES)))
    values = expected(described(config), VALUES, given).reshape(len(CASES), len(X))
    return dict(zip(CASES, values, strict=True))


@pytest.mark.parametrize("text", CASES)
def test_expression_is_what_numpy_says(text: str, found: dict[str, Floats]) -> None:
    np.testing.assert_allclose(found[text], CASES[text](**NAMES), rtol=1e-12)


def test_every_allowed_function_and_operator_is_among_the_cases() -> None:
    assert FUNCTIONS.keys() == ALLOWED.keys()
    text = " ".join(CASES)
    assert [name for name in ALLOWED if f"{name}(" not in text] == []
    signs = {"Add": "+", "Sub": "- ", "Mult": "* ", "Div": "/", "Pow": "**"}
    signs |= {"Lt": "< ", "LtE": "<=", "Gt": "> ", "GtE": ">=", "Eq": "==", "NotEq": "!="}
    assert [k for k in (*BINARY, *COMPARE) if signs[k.__name__] not in text] == []


def test_parts_of_vectors_by_column_label_and_position() -> None:
    config = configuration(
        {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
        {"z": prior("Normal") | {"dims": "school"}},
        {"m": {"expression": "z[place] + 10 * z['north'] + 100 * z[1]"}},
        coords={"school": ["west", "north", "east"]},
    )
    model = described(config)
    assert model.parameter_names == ("z[west]", "z[north]", "z[east]")
    values = {"z[west]": 1.0, "z[north]": 2.0, "z[east]": 3.0}
    found = expected(model, values, rows(place=["east", "west", "east", "north"]))
    assert found.tolist() == [223, 221, 223, 222]


def test_parts_of_a_matrix_by_two_indices() -> None:
    config = configuration(
        {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
        {"z": prior("Normal") | {"dims": ["school", "year"]}},
        {"m": {"expression": "z[place, when] + 100 * z['b', '2021'] + 1000 * z[0, 0]"}},
        coords={"school": ["a", "b"], "year": [2020, 2021, 2022]},
    )
    model = described(config)
    values = {name: i + 1 for i, name in enumerate(model.parameter_names)}
    assert values["z[b, 2020]"] == 4
    found = expected(model, values, rows(place=["a", "b", "b"], when=[2022, 2020, 2022]))
    assert found.tolist() == [1503, 1504, 1506]


def test_earlier_quantities_are_names_too() -> None:
    config = configuration(
        {"dist": "Normal", "kwargs": {"mu": "twice", "sigma": 1}},
        {"a": prior("Normal")},
        {"once": {"expression": "a * x"}, "twice": {"expression": "2 * once"}},
    )
    assert expected(described(config), {"a": 3.0}, rows(x=X)) == pytest.approx(6 * X)


@pytest.mark.parametrize(
    "text", ["__import__('os')", "x.real", "(lambda: 1)()", "[i for i in x]", "x if a else b"]
)
def test_code_is_refused_long_before_a_model(text: str) -> None:
    with pytest.raises(ConfigError):
        configuration(
            {"dist": "Normal", "kwargs": {"mu": "m"}}, {"a": prior("Normal")}, {"m": {"expression": text}}
        )


@pytest.mark.parametrize("sign", ["+", "*"])
def test_forty_terms_are_no_more_trouble_than_two(sign: str) -> None:
    names = [f"b{i}" for i in range(40)]
    config = configuration(
        {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
        {name: prior("Normal") for name in names},
        {"m": {"expression": f" {sign} ".join(f"({name} + x)" for name in names)}},
    )
    values = {name: 1 + i / 100 for i, name in enumerate(names)}
    wanted = [np.add, np.multiply][sign == "*"].reduce([v + X for v in values.values()])
    np.testing.assert_allclose(expected(described(config), values, rows(x=X)), wanted, rtol=1e-12)
