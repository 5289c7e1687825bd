"""Designs: columns are formulae's, plain values give them back bit for bit, and unseen levels are told."""

from typing import Any

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import pytest
from formulae import design_matrices
from formulae.environment import Environment
from pydantic import TypeAdapter

from posterity.config import positions, writing
from posterity.config.design import Design
from posterity.config.formula import parse
from posterity.config.priors import Quantity
from posterity.errors import ModelError, PanelError
from posterity.models import regression
from posterity.models.design import axes, inputs, matrix, placeholders
from posterity.models.designing import design
from posterity.models.parts import FUNCTIONS

N = 60
RNG = np.random.default_rng(1)
COLUMNS = {
    "price": RNG.uniform(1, 3, N),
    "week": np.repeat(np.arange(30.0), 2),
    "deal": RNG.integers(0, 2, N).astype(float),
    "store": RNG.choice(np.array(["a", "b", "c"], object), N),
    "brand": RNG.choice(np.array(["x", "y"], object), N),
}
FORMULAS = [
    *("1 + log(price) + deal", "0 + store + price", "store*brand", "store:brand", "0 + store:brand"),
    *("price*store", "price:store", "store*brand*price", "I(price**2) + {price + week}"),
    "I((price + week) / (1 + deal))",
    *("bs(week, df=6)", "bs(week, df=6, degree=2, center=False)", "bs(center(week), df=5) + store"),
    *("cr(week, df=5)", "cc(week, period=13, df=4)", "poly(week, 3)", "poly(week, degree=2, raw=True)"),
    *("center(price) + scale(week)", "scale(log(price)):store", "poly(price, degree=2):store"),
    *("T(store, ref='b')", "S(store)", "0 + S(store)", "S(store, omit='a'):brand", "C(deal)", "C(week)"),
    *("(1|store)", "(price|store)", "(0 + price|store)", "(brand|store)", "(0 + brand|store)"),
    *("(1|store:brand) + (price|store)", "(bs(week, df=4)|store)", "offset(log(price)) + deal"),
    *("T(store, ref='b') + S(brand):C(deal) + C(deal)", "week + brand:store + week:brand"),
    *("I(store == 'a')", "minimum(price, 2) + clip(price, 1.5, 2)"),
]  # fmt: skip


def theirs(text: str):
    frame = pd.DataFrame({n: v if v.dtype.kind == "f" else v.astype(str) for n, v in COLUMNS.items()})
    with np.errstate(all="ignore"):
        found = design_matrices(text, frame, na_action="error", env=Environment([dict(FUNCTIONS)]))
    return [t for t in found.model.common_terms if t.kind != "offset"], found.model.group_terms


def quantity(text: str, unseen: str = "error", made: Design | None = None) -> Quantity:
    return Quantity(formula=text, unseen=unseen, design=made or design("mu", parse(text), COLUMNS))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", FORMULAS)
def test_columns_are_those_of_formulae(text: str) -> None:
    made = design("mu", parse(text), COLUMNS)
    common, groups = theirs(text)
    common = list({t.name: t for t in common}.values())  # as in formulae's own matrix
    assert [t.name for t in made.terms] == [t.name for t in (*common, *groups)]
    by_name = {t.name: t for t in made.terms}
    for term in common:
        mine = matrix(by_name[term.name], made, COLUMNS, N).reshape(N, -1)
        np.testing.assert_allclose(mine, np.reshape(term.data, (N, -1)), rtol=1e-12, atol=1e-12)
    found = inputs("mu", quantity(text, made=made), COLUMNS, N)
    for term in groups:
        place, weight = found[f"group:mu:{term.name}"], found[f"formula:mu:{term.name}"].reshape(N, -1)
        width = weight.shape[1]
        dense = np.zeros((N, len(axes(by_name[term.name], made)[0]) * width))
        for i in range(N):
            dense[i, place[i] * width : (place[i] + 1) * width] = weight[i]
        np.testing.assert_allclose(dense, term.data.toarray(), rtol=1e-12, atol=1e-12)
    shaped = placeholders("mu", made)
    assert {n: v.shape[1:] for n, v in found.items()} == {n: v.shape[1:] for n, v in shaped.items()}


@pytest.mark.parametrize("text", FORMULAS)
def test_plain_values_give_the_same_columns_of_other_rows_bit_for_bit(text: str) -> None:
    made = quantity(text)
    text_of_it = writing.as_yaml({"design": made.design.model_dump(exclude_defaults=True)})
    read = TypeAdapter(Design).validate_python(positions.read(text_of_it).value["design"])
    assert read == made.design
    other = {name: values[7:40] for name, values in COLUMNS.items()}
    first, second = inputs("mu", made, other, 33), inputs("mu", quantity(text, made=read), other, 33)
    whole = inputs("mu", made, COLUMNS, N)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
        # And whatever rows are beside a row, its columns are the same.
        np.testing.assert_array_equal(values, whole[name][7:40])


def test_new_rows_do_not_move_knots_means_or_levels() -> None:
    made = quantity("bs(week, df=5) + center(price) + store")
    later = {
        "week": np.array([3.0, 28.0]),
        "price": np.array([100.0, 200.0]),
        "store": np.array(["c", "c"], object),
    }
    found = inputs("mu", made, later, 2)
    assert found["formula:mu:center(price)"] == pytest.approx(later["price"] - COLUMNS["price"].mean())
    np.testing.assert_array_equal(found["formula:mu:store"], [[0, 1], [0, 1]])
    beside = {**{n: v[:2] for n, v in COLUMNS.items()}, "week": later["week"]}
    np.testing.assert_array_equal(
        found["formula:mu:bs(week, df=5)"], inputs("mu", made, beside, 2)["formula:mu:bs(week, df=5)"]
    )


UNSEEN = {name: values[:2] for name, values in COLUMNS.items()} | {"store": np.array(["zz", "b"], object)}


@pytest.mark.parametrize("text", ["store", "(1|store)", "store:price", "(1|store:brand)"])
def test_an_unseen_level_is_told(text: str) -> None:
    with pytest.raises(PanelError, match=r"'store' has a level that the formula was not fitted with, 'zz'"):
        inputs("mu", quantity(text), UNSEEN, 2)


def test_an_unseen_level_may_have_the_mean_of_the_levels() -> None:
    found = inputs("mu", quantity("store + (price|store)", "mean"), UNSEEN, 2)
    # One of three levels is the reference, whose coefficient is 0.
    np.testing.assert_allclose(found["formula:mu:store"], [[1 / 3, 1 / 3], [1, 0]])
    assert found["formula:mu:1|store"].tolist() == [0, 1]  # its deviation is zero
    assert found["formula:mu:price|store"].tolist() == [0, UNSEEN["price"][1]]
    known = inputs(
        "mu", quantity("store + (price|store)"), {**UNSEEN, "store": np.array(["b", "b"], object)}, 2
    )
    np.testing.assert_array_equal(found["formula:mu:store"][1], known["formula:mu:store"][1])


def test_the_symbolic_value_is_the_sum_of_columns_times_coefficients() -> None:
    text = "log(price) + store + bs(week, df=4) + (price|brand) + (0 + store|brand) + offset(week)"
    made = quantity(text)
    known = dict(inputs("mu", made, COLUMNS, N))
    total = known["formula:mu:offset"].copy()
    np.testing.assert_array_equal(total, COLUMNS["week"])
    rng = np.random.default_rng(2)
    for term in made.design.terms:
        labels = axes(term, made.design)
        known[term.parameter] = coefficients = rng.normal(size=tuple(map(len, labels)))
        own = matrix(term, made.design, COLUMNS, N) if term.parts else np.ones(N)
        if term.by:
            code = np.array([labels[0].index(b) for b in COLUMNS["brand"]])
            picked = coefficients[code] * own
            total += picked if picked.ndim == 1 else picked.sum(axis=1)
        else:
            total += own @ coefficients if own.ndim > 1 else own * coefficients
    symbols = {name: pt.as_tensor_variable(values) for name, values in known.items()}
    np.testing.assert_allclose(regression.value("mu", made.design, symbols).eval(), total)


def test_in_a_joint_model_each_row_has_the_coefficients_of_its_entity() -> None:
    """Coefficients (E, ...) by entity, and one vector that all entities share."""
    made = quantity("log(price) + store + (price|brand)").design
    assert made is not None
    inputs_ = inputs("mu", quantity("log(price) + store + (price|brand)", made=made), COLUMNS, N)
    rng, owner = np.random.default_rng(3), np.arange(N) % 4
    single = {t.parameter: rng.normal(size=(4, *map(len, axes(t, made)))) for t in made.terms}
    single["mu_price_by_brand"][:] = single["mu_price_by_brand"][0]
    symbols = {name: pt.as_tensor_variable(values) for name, values in inputs_.items()}
    expected = np.empty(N)
    for entity in range(4):
        own = symbols | {name: pt.as_tensor_variable(values[entity]) for name, values in single.items()}
        expected[owner == entity] = regression.value("mu", made, own).eval()[owner == entity]
    index = pt.as_tensor_variable(owner)
    known: dict[str, Any] = dict(symbols)
    for name, values in single.items():
        value = pt.as_tensor_variable(values)
        known[name] = regression.Entries(value, index) if values.ndim > 1 else value[index]
    known["mu_price_by_brand"] = regression.Entries(
        pt.as_tensor_variable(single["mu_price_by_brand"][0]), None
    )
    np.testing.assert_allclose(regression.value("mu", made, known).eval(), expected)


def test_a_shared_vector_is_multiplied_once() -> None:
    made = quantity("store").design
    assert made is not None
    columns = inputs("mu", quantity("store", made=made), COLUMNS, N)
    entries = regression.Entries(pt.as_tensor_variable([1.0, 2.0]), None)
    known = {**columns, "mu_intercept": 0.0, "mu_store": entries}
    codes = np.array(["abc".index(s) for s in COLUMNS["store"]])
    np.testing.assert_allclose(regression.value("mu", made, known).eval(), codes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("log(store)", "computes with text"),
        ("center(deal - deal) + scale(deal - deal)", "no scale"),
        ("bs(week, df=2)", "df=2 is too small"),
        ("poly(deal, degree=2)", "more than 2 different values"),
        ("T(store, ref='q')", "no level 'q'; there is a, b, c"),
        ("one", "one level only"),
        ("store:brand + store", "categories before their interactions"),
        ("many", r"250 columns.*\(1\|many\)"),
    ],
)
def test_columns_that_a_formula_cannot_be_made_of_are_told(text: str, reason: str) -> None:
    size = 250
    columns = {name: np.resize(values, size) for name, values in COLUMNS.items()}
    columns["one"] = np.array(["a"] * size, object)
    columns["many"] = np.array([f"l{i}" for i in range(size)], object)
    with pytest.raises(ModelError, match=rf"model\.quantities\.mu\.formula: .*{reason}"):
        design("mu", parse("0 + many" if text == "many" else text), columns)
