"""One's own functions: found by name, bound by argument, and part of the model's key."""

import importlib
import linecache
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from posterity.errors import ModelError
from posterity.models import build, describe
from posterity.models.functions import argument_names, code_digest
from tests.entities import configuration, described, expected, prior, rows

SOURCE = """
FACTOR = 2
def ramp(week, rate, start=1.5):
    return start + rate * half(week)
def half(x):
    return x / FACTOR
def greedy(*parts):
    return parts[0]
number = 3
def broken(week):
    raise ValueError("no ramp today")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module `my_ramps` on the path, which a test may rewrite (and reload)."""
    import sys

    file = tmp_path / "my_ramps.py"
    file.write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield file
    sys.modules.pop("my_ramps", None)


def config(function="my_ramps:ramp", **arguments):
    return configuration(
        {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
        {"rate": prior("Normal")},
        {"m": {"function": function, "arguments": arguments}},
    )


def test_arguments_are_matched_by_name_and_defaults_kept(module: Path) -> None:
    assert argument_names("my_ramps:ramp") == ("week", "rate")
    model = described(config())
    assert model.description.inputs == ("week",)
    found = expected(model, {"rate": 3.0}, rows(week=[0.0, 1.0, 4.0]))
    np.testing.assert_allclose(found, [1.5, 3.0, 7.5])
    mapped = described(config(week="day", start="rate"))
    assert mapped.description.inputs == ("day",)
    np.testing.assert_allclose(expected(mapped, {"rate": 3.0}, rows(day=[0.0, 2.0])), [3.0, 6.0])


@pytest.mark.parametrize(("old", "new"), [("start + rate", "start - rate"), ("FACTOR = 2", "FACTOR = 3")])
def test_a_changed_function_or_what_it_uses_is_another_model(module: Path, old: str, new: str) -> None:
    before = describe(config()).key
    assert describe(config()).key == before
    module.write_text(SOURCE.replace(old, new))
    linecache.checkcache()
    importlib.reload(importlib.import_module("my_ramps"))
    assert describe(config()).key != before


def test_built_in_curves_change_with_the_engine_only() -> None:
    assert code_digest("logistic") == "logistic"


@pytest.mark.parametrize(
    ("function", "fragments"),
    [
        ("no_such_module:ramp", ["'no_such_module' cannot be imported", "PYTHONPATH"]),
        ("my_ramps:slope", ["has nothing called 'slope'"]),
        ("my_ramps:number", ["is a int, not a function"]),
        ("my_ramps:greedy", ["takes *args", "name each of them"]),
        ("my_ramps:broken", ["quantity m cannot be built", "no ramp today"]),
    ],
)
def test_what_cannot_be_used_says_why(module: Path, function: str, fragments: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        build(describe(config(function)))
    assert all(fragment in str(caught.value) for fragment in fragments)


def test_unknown_argument_of_ones_own_function(module: Path) -> None:
    with pytest.raises(ModelError, match="quantity m cannot be built"):
        build(describe(config(slope="rate")))
