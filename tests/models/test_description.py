"""What a description knows before anything is built: columns, dimensions, and when two models compile to
the same.
"""

import pyarrow as pa
import pytest

from posterity.models import describe
from posterity.panel import read
from tests.entities import configuration, prior

NORMAL = {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1)}}
VECTOR = prior("Normal", mu=0, sigma=2) | {"dims": "school"}


def described(expression="a + b * x", likelihood=NORMAL, a=None, time=None, **more):
    parameters = {"a": a or prior("Normal", mu=0, sigma=1), "b": prior("Normal", mu=0, sigma=1)}
    return describe(
        configuration(likelihood, parameters, {"m": {"expression": expression}}, time=time, **more)
    )


def test_columns_are_the_names_that_nothing_else_explains() -> None:
    description = described("a + b * x + price")
    assert description.columns == ("price", "x")
    assert description.indices == ()
    assert not description.ordered
    assert not description.discrete


def test_built_in_curves_read_time_and_mapped_arguments() -> None:
    parameters = {"rate": prior("HalfNormal"), "intercept": prior("Normal")}
    curve = {"function": "negative_exponential", "arguments": {"lambda_val": "rate"}}
    config = configuration(
        {"dist": "Normal", "kwargs": {"mu": "c", "sigma": 1}}, parameters, {"c": curve}, time="week"
    )
    assert describe(config).inputs == ("week",)
    curve["arguments"] |= {"x": "dose"}
    config = configuration(
        {"dist": "Normal", "kwargs": {"mu": "c", "sigma": 1}}, parameters, {"c": curve}, time="week"
    )
    assert describe(config).inputs == ("dose",)


def test_columns_inside_the_likelihood_count_too() -> None:
    config = configuration(
        {"dist": "Binomial", "kwargs": {"n": "trials", "p": "p"}}, {"p": prior("Beta", alpha=1, beta=1)}
    )
    description = describe(config)
    assert description.inputs == ("trials",)
    assert description.discrete


def test_dimensions_come_from_the_configuration_or_the_panel() -> None:
    given = configuration(
        {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
        {"z": VECTOR},
        {"m": {"expression": "z[place]"}},
        coords={"school": ["b", "a"]},
    )
    assert describe(given).indices == (("place", "school"),)
    assert describe(given).columns == ("place",)
    assert describe(given).levels == {"school": ("b", "a")}

    found = configuration(
        {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
        {"z": VECTOR},
        {"m": {"expression": "z[school]"}},
    )
    assert describe(found).columns == ("school",)
    panel = read(
        pa.table({"shop": ["s"] * 4, "school": [8, 3, 8, 5], "y": [1.0] * 4}),
        entity="shop",
        target="y",
        columns=["school"],
    )
    assert describe(found, panel).levels == {"school": (3, 5, 8)}


def test_numbers_of_priors_are_no_part_of_the_key() -> None:
    base = described()
    assert described(a=prior("Normal", mu=3.5, sigma=9)).key == base.key
    assert described(a=prior("Normal", mu=3.5, sigma=9)).numbers != base.numbers
    likelihood = {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=7)}}
    assert described(likelihood=likelihood).key == base.key


STRUCTURES = {
    "expression": described("a - b * x"),
    "another column": described("a + b * z"),
    "another prior": described(a=prior("Cauchy", alpha=0, beta=1)),
    "another argument": described(a=prior("Normal", mu=0, tau=1)),
    "nested prior": described(a=prior("Normal", mu=0, sigma=prior("HalfNormal", sigma=1))),
    "not centred": described(
        a=prior("Normal", mu=0, sigma=prior("HalfNormal", sigma=1)) | {"dims": "s", "centered": False},
        expression="a[s] + b * x",
        coords={"s": ["u", "v"]},
    ),
    "transform": described(a=prior("Normal", mu=0, sigma=1) | {"transform": "exp"}),
    "another likelihood": described(
        likelihood={"dist": "Logistic", "kwargs": {"mu": "m", "s": prior("HalfNormal", sigma=1)}}
    ),
    "a number in the likelihood": described(likelihood={"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}}),
    "dependent errors": described(
        likelihood=NORMAL | {"errors": {"ar1": {"rho": prior("Beta", alpha=2, beta=2)}}}, time="week"
    ),
}


def test_structures_have_keys_of_their_own() -> None:
    keys = [description.key for description in (described(), *STRUCTURES.values())]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", STRUCTURES)
def test_keys_are_the_same_every_time(name: str) -> None:
    again = {**STRUCTURES[name].__dict__}
    for cached in ("key", "structure", "priors", "numbers"):
        again.pop(cached, None)
    assert type(STRUCTURES[name])(**again).key == STRUCTURES[name].key


def test_levels_are_structure() -> None:
    def key(labels):
        config = configuration(
            {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
            {"z": VECTOR},
            {"m": {"expression": "z[place]"}},
            coords={"school": labels},
        )
        return describe(config).key

    assert key(["a", "b"]) != key(["a", "b", "c"])
    assert key(["a", "b"]) != key(["b", "a"])
    assert key(["a", "b"]) == key(["a", "b"])
