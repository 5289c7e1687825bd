"""Expressions hold what is allowed and nothing else."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posterity.config.expressions import FUNCTIONS, bare_names, examine, names, parse, subscripts
from posterity.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "read", "bare"),
    [
        ("1 - a - (1 - a) * exp(-b * week)", {"a", "b", "week"}, {"a", "b", "week"}),
        ("where(x > 0, z[school], -1e-3)", {"x", "z", "school"}, {"x"}),
        ("beta['slope'] * x + beta[0]", {"beta", "x"}, {"x"}),
        ("z[school, year] ** 2", {"z", "school", "year"}, set()),
        ("\n a +\n b\n", {"a", "b"}, {"a", "b"}),
        ("clip(minimum(a, 1), 0, 1)", {"a"}, {"a"}),
        ("γ * exp(β)", {"γ", "β"}, {"γ", "β"}),
    ],
)
def test_names(text, read, bare):
    tree = parse(text)
    assert names(tree) == read
    assert bare_names(tree) == bare


def test_subscripts():
    first, second = subscripts(parse("z[school, 2] + beta['a']"))
    assert (first.name, first.indices[1]) == ("z", 2)
    assert isinstance(first.indices[0], ast.Name)
    assert (second.name, second.indices) == ("beta", ("a",))


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "is empty"),
        ("np.exp(x)", "write exp(...) without a module"),
        ("x ^ 2", "at character 1: '^' is not a power; write **"),
        ("9 ** 9 ** 9", "no finite value"),
        ("x / (1 - 1) + 1 / 0", "no finite value"),
        ("(-8) ** 0.5", "no finite value"),
        ("lambda * week", "lambda_val"),
        ("2x", "multiplication needs a *"),
        ("a and b", "where(condition, a, b)"),
        ("not a", "turn the comparison around"),
        ("a < b < c", "one comparison at a time"),
        ("a in b", "'in' is not allowed"),
        ("x if y else z", "where(c, a, b)"),
        ("x // 2", "floor(a / b)"),
        ("z[-1]", "count from 0"),
        ("z[1:2]", "a slice"),
        ("z[a + 1]", "an index is a column"),
        ("f(x)[0]", "only a vector parameter"),
        ("exq(1)", "did you mean 'exp'?"),
        ("clip(1, 2)", "clip takes 3 arguments in order, 2 found"),
        ("exp(x=1)", "exp takes 1 argument in order"),
        ("logistic(x)", "write `function: logistic`"),
        ("a.b", "a dot"),
        ("__import__('os')", "no function '__import__'"),
        ("().__class__.__bases__[0]", "a vector parameter"),
        ("f'{x}'", "an f-string"),
        ("[1, 2]", "a list"),
        ("'a'", "'a' is not allowed"),
        ("True", "true is not allowed"),
        ("1e999", "too large"),
        ("9" * 400, "too large"),
        ("1j", "not allowed"),
        ("a = 3", "stands before the colon"),
        ("(y := 3)", "':=' is not allowed"),
        ("a # b", "'#' would hide"),
        ("a\0b", "null bytes"),
        ("-" * 1900 + "1", "deeper than 100"),
        ("(" * 300 + "1" + ")" * 300, "nested parentheses"),
        ("a" * 2001, "at most 2,000"),
        ("ä * exq(3)", "at character 5"),
        ("exp(*a)", "'*' before an argument"),
        ("inf", "not a finite number"),
    ],
)
def test_refusals(text, fragment):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert fragment in str(caught.value), str(caught.value)


def test_a_label_may_hold_a_hash():
    assert names(parse("beta['a#b']")) == {"beta"}


def test_all_flaws_are_reported():
    _, flaws = examine("exq(1) + lgo(2) + a.b")
    assert len(flaws) == 3


@given(st.text(max_size=60) | st.text("ab1.+-*/()[]'\"<>=!, #\\\n%^&|:", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_tree_or_a_config_error(text):
    try:
        tree = parse(text)
    except ConfigError:
        return
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    assert all(isinstance(c.func, ast.Name) and c.func.id in FUNCTIONS for c in calls)
    assert not any(isinstance(n, ast.Attribute | ast.Lambda | ast.NamedExpr) for n in ast.walk(tree))
