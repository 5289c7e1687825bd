"""The curve, however it is given: found, called with every name, and told apart by what it does."""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pymc as pm
import pytest

from posterity.compat import PymcModel
from posterity.errors import ConfigError, ModelError
from posterity.models import curves
from posterity.models.code import content
from posterity.models.functions import code_digest, given, resolve
from tests.compat.wrapped import CONFIG, LINE, curve, line, loaded

WEEK = np.array([1.0, 2.0, 5.0])
KNOWN = {"level": np.full((2, 10), 0.5), "slope": 2.0}


class Line(PymcModel):
    factor = 1.0

    def model_function(self, week, level, slope):
        return self.scaled(level + slope * week)

    def scaled(self, value):
        return value * self.factor


class Forwards(PymcModel):
    def model_function(self, week, **parameters):
        return line(week, **parameters)


class Static(PymcModel):
    model_function: ClassVar[Any] = staticmethod(line)


def closure(offset: float) -> Any:
    def inner(week, level, slope):
        return level + slope * week + offset

    return inner


def with_default(week, level, slope=100.0):
    return level + slope * week


@pytest.mark.parametrize(
    ("function", "truth"),
    [
        (line, 0.5 + 2 * WEEK),
        (lambda week, level, slope: level - slope * week, 0.5 - 2 * WEEK),
        (closure(3), 3.5 + 2 * WEEK),
        (partial(lambda week, level, slope, by: level + slope * week * by, by=10), 0.5 + 20 * WEEK),
        (with_default, 0.5 + 2 * WEEK),  # a variable's posterior, not the default
        (lambda **values: line(**values), 0.5 + 2 * WEEK),
        (f"{__name__}:line", 0.5 + 2 * WEEK),
    ],
    ids=["module", "lambda", "closure", "partial", "default", "keywords", "name"],
)
def test_any_callable_will_do(tmp_path: Path, function: Any, truth: np.ndarray) -> None:
    for config, argument in ((LINE, function), (LINE | {"function_params": {"function": function}}, None)):
        np.testing.assert_allclose(
            loaded(tmp_path, config, argument, **KNOWN).predict(WEEK), truth, atol=1e-6
        )


@pytest.mark.parametrize("function", ["negative_exponential", curves.negative_exponential])
def test_a_built_in_curve_takes_the_column_for_its_x(tmp_path: Path, function: Any) -> None:
    model = loaded(tmp_path, CONFIG, function, lambda_val=np.full((2, 10), 0.1), intercept=0.2)
    np.testing.assert_allclose(model.predict(WEEK), curve(WEEK, 0.1, 0.2), atol=1e-6)


def test_a_subclass_writes_its_curve_as_a_method(tmp_path: Path) -> None:
    from tests.compat.wrapped import draws_in

    path = draws_in(tmp_path / "trace.nc", sigma=1e-9, **KNOWN)
    for kind in (Line, Forwards, Static):
        model = kind(LINE)
        model.load_trace(path)
        np.testing.assert_allclose(model.predict(WEEK), 0.5 + 2 * WEEK, atol=1e-6)
    model = Line(LINE)
    model.load_trace(path)
    model.factor = 10.0
    np.testing.assert_allclose(model.predict(WEEK), 5 + 20 * WEEK, atol=1e-6)
    given_beside = Line(LINE, lambda week, level, slope: level)
    given_beside.load_trace(path)
    np.testing.assert_allclose(given_beside.predict(WEEK), 0.5, atol=1e-6)


CELL = """
import numpy as np
FACTOR = 2
def half(x):
    return x / FACTOR
def ramp(week, level, slope):
    return level + (lambda s: s * half(week))(slope)
"""


def cell(text: str = CELL) -> Any:
    """`ramp` as a cell of a notebook defines it: no module, no file."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(text, scope)
    return scope["ramp"]


def test_a_cell_that_is_run_again_is_the_same_curve_until_something_in_it_changes() -> None:
    name = given(cell())
    assert name == given(cell())
    assert name.startswith("python:ramp_")
    assert code_digest(name) == name
    for old, new in (("FACTOR = 2", "FACTOR = 3"), ("x / FACTOR", "x * FACTOR"), ("s * half", "s + half")):
        assert given(cell(CELL.replace(old, new))) != name


def test_a_curve_that_is_defined_again_predicts_anew(tmp_path: Path) -> None:
    np.testing.assert_allclose(loaded(tmp_path, LINE, cell(), **KNOWN).predict(WEEK), 0.5 + WEEK, atol=1e-6)
    changed = cell(CELL.replace("FACTOR = 2", "FACTOR = 4"))
    np.testing.assert_allclose(
        loaded(tmp_path, LINE, changed, **KNOWN).predict(WEEK), 0.5 + WEEK / 2, atol=1e-6
    )


def test_what_a_function_uses_is_in_its_content() -> None:
    assert content(closure(1)) == content(closure(1)) != content(closure(2))
    assert content(partial(line, level=1)) != content(partial(line, level=2))
    arrays = [closure(np.array(values)) for values in ([1, 2], [1, 2], [1, 3])]  # type: ignore[arg-type]
    assert content(arrays[0]) == content(arrays[1]) != content(arrays[2])
    assert content(Line(LINE).model_function, Line) != content(Line(LINE).model_function, Static)


def test_importable_functions_keep_their_names() -> None:
    assert given(line) == f"{line.__module__}:line"
    assert resolve(given(line)) is line
    assert given(curves.logistic) == "logistic"


def test_a_function_of_another_process_says_so() -> None:
    with pytest.raises(ModelError, match="was given in Python, to another process; give it here too"):
        resolve("python:curve_0123")


@pytest.mark.parametrize(
    ("function", "fragments"),
    [
        (None, ["function: is missing", "PymcModel(config, function=...)", "model_function of a subclass"]),
        (lambda weeks, level, slope: level, ["it does not take week and takes weeks, which is none of them"]),
        (lambda week, level: level, ["does not take slope", "give both the same names"]),
        ("logistc", ["no function 'logistc'", "did you mean 'logistic'"]),
    ],
)
def test_a_function_that_does_not_fit_says_why(function: Any, fragments: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        PymcModel(LINE, function)
    assert all(fragment in str(caught.value) for fragment in fragments), caught.value


def test_a_distribution_may_be_pymcs_class_and_params_may_hold_its_name() -> None:
    config = {**LINE, "variable_params": {**LINE["variable_params"]}}
    config["variable_params"]["level"] = {"dist": pm.Normal, "params": {"name": "level", "mu": 0, "sigma": 1}}
    assert PymcModel(config, line).model_config == LINE
    config["variable_params"]["level"]["params"]["name"] = "other"
    with pytest.raises(
        ConfigError, match=r"variable_params.level.params.name: 'other' found; .* write 'level'"
    ):
        PymcModel(config, line)


@pytest.mark.parametrize(
    ("config", "fragment"),
    [
        (
            [1],
            "allowed: the old wrapper's dictionary with independent_vars, variable_params and sample_params",
        ),
        ({"model": {}}, "today's configurations are for posterity.Portfolio"),
        (
            LINE | {"function_params": {"function": line, "by": 3}},
            "function_params: a mapping with function and by",
        ),
        (LINE | {"function_params": {"function": 3}}, "function: 3 found; allowed: a function"),
        (LINE | {"independent_vars": 3}, "independent_vars: 3 found; allowed: a list of column names"),
        (
            LINE | {"independent_vars": ["week", "slope"]},
            "independent_vars: slope is a column and a variable",
        ),
        (LINE | {"independent_vars": ["sigma"]}, "sigma is the scale of the noise"),
        (LINE | {"sample_params": {"drws": 3}}, "sample_params.drws: has no counterpart here"),
        (LINE | {"variable_params": {"level": {"dist": "Norml"}}}, "variable_params.level"),
    ],
)
def test_a_dictionary_that_is_none_of_the_old_wrappers_says_what_is_wrong(config: Any, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PymcModel(config, None if "function_params" in config else (lambda **values: values["week"]))
    assert fragment in str(caught.value)


def test_columns_may_have_the_names_that_the_wrapper_uses(tmp_path: Path) -> None:
    config = LINE | {"independent_vars": ["series", "Y_obs"]}
    model = loaded(
        tmp_path, config, lambda series, level, slope, **more: level + slope * series - more["Y_obs"], **KNOWN
    )
    np.testing.assert_allclose(model.predict({"series": [1, 2], "Y_obs": [3, 4]}), [-0.5, 0.5], atol=1e-6)
