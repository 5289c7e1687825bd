"""Bad input end to end: each case is an error that teaches or the reason of an entity; nothing is lost.

Single messages have their own tables in tests/config and tests/panel; here configuration and panel meet.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity.errors import ConfigError, ModelError, PanelError, PosterityError
from posterity.portfolio.portfolio import Portfolio

ROWS = 6
BASE: dict[str, Any] = {
    "name": "bad",
    "data": {"entity": "shop", "time": "week", "target": "sales"},
    "model": {
        "parameters": {"a": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}}},
        "quantities": {"m": {"expression": "a * price"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
    },
}
HALF = {"dist": "HalfNormal", "kwargs": {"sigma": 1}}


def panel(**columns: Any) -> pd.DataFrame:
    """Two shops of six weeks; columns are replaced, added, or (None) taken away."""
    data = {
        "shop": ["a"] * ROWS + ["b"] * ROWS,
        "week": [*range(1, ROWS + 1)] * 2,
        "sales": np.arange(1.0, 2 * ROWS + 1),
        "price": np.linspace(1, 2, 2 * ROWS),
        "kind": ["u", "v"] * ROWS,
    }
    return pd.DataFrame({k: v for k, v in {**data, **columns}.items() if v is not None})


def put(column: str, values: dict[int, Any], dtype: Any = object) -> dict[str, Any]:
    """The column with the values of some rows replaced."""
    found = panel()[column].astype(dtype)
    for row, value in values.items():
        found[row] = value
    return {column: found}


def config(**changes: Any) -> dict[str, Any]:
    """The base with values at dotted paths replaced, or (None) taken away."""
    found = copy.deepcopy(BASE)
    for path, value in changes.items():
        *folders, last = path.split("__")
        place = found
        for folder in folders:
            place = place.setdefault(folder, {})
        if value is None:
            place.pop(last)
        else:
            place[last] = value
    return found


def likely(dist: str, **kwargs: Any) -> dict[str, Any]:
    return config(
        model__likelihood={"dist": dist, "kwargs": kwargs},
        model__quantities__m={"expression": "exp(a * price)"},
    )


VECTOR = config(
    model__parameters={"z": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}, "dims": "kind"}},
    model__quantities={"m": {"expression": "z[kind]"}},
)

# Configurations that no panel can save.
CONFIGURATIONS = {
    "nothing": ({}, ["name", "is missing"]),
    "list for a section": (config(model=[1]), ["[1] found", "a mapping"]),
    "unknown section": (config(modell={"likelihood": 1}), ["modell", "not a known key", "'model'?"]),
    "unknown distribution": (config(model__parameters__a={"dist": "Nromal"}), ["Nromal", "Normal"]),
    "unknown argument": (config(model__parameters__a__kwargs={"mean": 0}), ["mean"]),
    "negative scale": (
        config(model__parameters__a__kwargs={"mu": 0, "sigma": -1}),
        ["sigma", "-1", "positive"],
    ),
    "number that is none": (config(model__parameters__a__kwargs={"sigma": float("nan")}), ["finite"]),
    "text for a number": (config(model__parameters__a__kwargs={"sigma": "1"}), ["did you mean the number 1"]),
    "two parameterisations": (config(model__parameters__a__kwargs={"sigma": 1, "tau": 1}), ["sigma", "tau"]),
    "code": (config(model__quantities__m={"expression": "__import__('os').system('x')"}), ["allowed"]),
    "power sign": (config(model__quantities__m={"expression": "a ^ 2"}), ["write **"]),
    "unused parameter": (config(model__parameters__b=HALF), ["uses 'b'"]),
    "quantity after its use": (
        config(model__quantities={"m": {"expression": "a * n"}, "n": {"expression": "a + price"}}),
        ["'n' stands further down"],
    ),
    "circle": (
        config(model__quantities={"m": {"expression": "a * n"}, "n": {"expression": "m + price"}}),
        ["in a circle"],
    ),
    "target explains itself": (config(model__quantities__m={"expression": "a * sales"}), ["explain itself"]),
    "target is the entity": (config(data__target="shop"), ["shop", "is the target"]),
    "vector without an index": (
        config(
            model__parameters={"z": {"dist": "Normal", "dims": "kind"}},
            model__quantities={"m": {"expression": "2 * z"}},
        ),
        ["'z' is a vector", "z[kind]"],
    ),
    "dependent errors without time": (
        config(
            data__time=None,
            model__likelihood__errors={"ar1": {"rho": {"dist": "Beta", "kwargs": {"alpha": 2, "beta": 2}}}},
        ),
        ["need data.time"],
    ),
    "dependent counts": (
        config(
            model__likelihood={
                "dist": "Poisson",
                "kwargs": {"mu": "m"},
                "errors": {"ar1": {"rho": {"dist": "Beta", "kwargs": {"alpha": 2, "beta": 2}}}},
            }
        ),
        ["errors", "Normal"],
    ),
    "mass in percent": (config(intervals=[90]), ["90 found", "mean 0.9"]),
    "joint method": (config(inference__method="dadvi"), ["dadvi is for joint models", "laplace"]),
}

# Configurations and panels that do not fit together.
PANELS = {
    "no such column": (config(data__target="slaes"), panel(), ["no column 'slaes'", "'sales'?"]),
    "no such input": (
        config(model__quantities__m={"expression": "a * prize"}),
        panel(),
        ["'prize'", "'price'?"],
    ),
    "text as an input": (
        config(model__quantities__m={"expression": "a * kind"}),
        panel(),
        ["'kind'", "text"],
    ),
    "no rows": (BASE, panel().iloc[:0], ["no rows"]),
    "empty entity": (BASE, panel(**put("shop", {3: None})), ["'shop' is empty in 1 row of 12"]),
    "entity of two kinds": (BASE, panel(**put("shop", {3: 1, 4: "1"})), ["mixes int and str"]),
    "text as a target": (BASE, panel(**put("sales", {2: "many"})), ["'sales'", "str"]),
    "target without a value": (BASE, panel(sales=np.full(12, np.nan)), ["no value in any of 12 rows"]),
    "text as time": (BASE, panel(**put("week", {2: "later"})), ["'week'"]),
    "missing file": (BASE, "nowhere/panel.parquet", ["nowhere/panel.parquet"]),
    "unknown kind of file": (BASE, __file__, [".py"]),
    "trials that are text": (likely("Binomial", n="kind", p=0.5) | {"x": None}, panel(), ["kind"]),
}

# Functions that cannot be used.
MODELS = {
    "no such module": ({"function": "no_such_module:f"}, ["cannot be imported", "PYTHONPATH"]),
    "no such function": ({"function": "math:no_such"}, ["has nothing called 'no_such'"]),
    "no function": ({"function": "math:pi"}, ["is a float, not a function"]),
    "arguments that fit nothing": ({"function": "operator:neg"}, ["positional-only"]),
    "what PyTensor cannot do": (
        {"function": "textwrap:dedent", "arguments": {"text": "a"}},
        ["quantity m cannot be built"],
    ),
}

# What speaks against an entity but not against its neighbour: columns, configuration, entity, fragments.
REASONS = {
    "missing target": (put("sales", {0: np.nan, 1: np.nan}, float), BASE, "a", ["missing in 2 of 6 rows"]),
    "infinite target": (put("sales", {7: np.inf}, float), BASE, "b", ["infinite in 1 of 6 rows"]),
    "missing input": (put("price", {0: np.nan}, float), BASE, "a", ["input 'price' is missing in 1 of 6"]),
    "infinite input": (put("price", {0: -np.inf}, float), BASE, "a", ["input 'price' is infinite"]),
    "missing time": (put("week", {8: np.nan}, float), BASE, "b", ["time 'week' is missing in 1 of 6"]),
    "two rows at one time": (put("week", {1: 1}, int), BASE, "a", ["week", "1"]),
    "missing label": (put("kind", {2: None}), VECTOR, "a", ["input 'kind' is missing"]),
    "negative count": (
        put("sales", {0: -3.0}, float),
        likely("Poisson", mu="m"),
        "a",
        ["counts 0, 1, 2", "-3"],
    ),
    "fractional count": (
        put("sales", {0: 1.5}, float),
        likely("NegativeBinomial", mu="m", alpha=1),
        "a",
        ["1.5"],
    ),
    "zero for a positive": (
        put("sales", {9: 0.0}, float),
        likely("Gamma", mu="m", sigma=1),
        "b",
        ["positive numbers"],
    ),
    "negative logarithm": (
        put("sales", {9: -1.0}, float),
        likely("LogNormal", mu="m", sigma=1),
        "b",
        ["positive"],
    ),
    "neither 0 nor 1": (
        {"sales": [0.0, 1] * 3 + [0, 1, 2, 0, 1, 0]},
        likely("Bernoulli", logit_p="m"),
        "b",
        ["0 and 1", "2"],
    ),
    "share of one": (
        {"sales": [0.5] * 6 + [0.5] * 5 + [1.0]},
        likely("Beta", mu=0.5, nu="m"),
        "b",
        ["both excluded"],
    ),
    "more wins than games": (
        {"sales": [1.0] * 6 + [9.0] * 6, "games": [5.0] * 12},
        likely("Binomial", n="games", p=0.5),
        "b",
        ["from 0 to n", "9"],
    ),
    "half a game": (
        {"sales": [1.0] * 12, "games": [5.0] * 11 + [2.5]},
        likely("Binomial", n="games", p=0.5),
        "b",
        ["'games' is not a count", "2.5"],
    ),
}


def test_there_are_many_cases() -> None:
    assert len(CONFIGURATIONS) + len(PANELS) + len(MODELS) + len(REASONS) >= 40


def refused(
    kind: type[PosterityError], settings: Any, table: Any, fragments: list[str], folder: Path
) -> None:
    """An error of this kind that says what it should, after which everything is as it was."""
    before = copy.deepcopy((settings, table))
    with pytest.raises(kind) as caught:
        Portfolio(settings).fit(table, out=folder / "run", workers=0)
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert settings == before[0]
    if isinstance(table, pd.DataFrame):
        pd.testing.assert_frame_equal(table, before[1])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configuration(name: str, tmp_path: Path) -> None:
    settings, fragments = CONFIGURATIONS[name]
    refused(ConfigError, settings, panel(), fragments, tmp_path)


@pytest.mark.parametrize("name", PANELS)
def test_panel(name: str, tmp_path: Path) -> None:
    settings, table, fragments = PANELS[name]
    settings = {k: v for k, v in settings.items() if v is not None}
    refused(PosterityError, settings, table, fragments, tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, tmp_path: Path) -> None:
    quantity, fragments = MODELS[name]
    refused(ModelError, config(model__quantities={"m": quantity}), panel(), fragments, tmp_path)


@pytest.mark.parametrize("name", REASONS)
def test_entity(name: str) -> None:
    columns, settings, entity, fragments = REASONS[name]
    table = panel(**columns)
    plan = Portfolio(settings).plan(table)
    assert set(plan.panel.reasons) == {entity}
    for fragment in fragments:
        assert fragment in plan.panel.reasons[entity]
    assert plan.panel.n_rows == len(table)
    assert set(plan.fittable) == {"a", "b"} - {entity}
    assert any(entity in notice for notice in plan.panel.notices)


def test_many_problems_are_told_together() -> None:
    settings = config(model__parameters__a={"dist": "Nromal"}, intervals=[90], inference__draws=0)
    with pytest.raises(ConfigError) as caught:
        Portfolio(settings)
    places = ("model.parameters.a.dist", "intervals[0]", "inference.draws")
    assert all(place in str(caught.value) for place in places)
    with pytest.raises(PanelError) as panels:
        Portfolio(BASE).plan(panel(sales=None, price=None))
    assert len(panels.value.problems) == 2


@pytest.mark.parametrize("column", ["observed", "mean", "lower_90", "expected_mean", "entity", "time"])
def test_inputs_named_like_columns_of_a_result_are_refused(column: str, tmp_path: Path) -> None:
    settings = config(model__quantities={"m": {"expression": f"a * {column}"}})
    table = panel().rename(columns={"price": column})
    refused(PanelError, settings, table, [f"'{column}' has the name of a column of the result"], tmp_path)
