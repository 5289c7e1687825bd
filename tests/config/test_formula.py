"""Formulas: what they are made of, and what no configuration may write into one."""

from typing import Any

import pytest

from posterity.config import from_dict, load, to_dict, to_yaml
from posterity.config.formula import examine, parse, part, written
from posterity.errors import ConfigError


def sales(**quantity: Any) -> dict[str, Any]:
    return {
        "name": "sales",
        "data": {"entity": "store", "time": "week", "target": "units"},
        "model": {
            "quantities": {"mu": {"formula": "1 + log(price) + deal"} | quantity},
            "likelihood": {
                "dist": "Normal",
                "kwargs": {"mu": "mu", "sigma": {"dist": "HalfNormal", "kwargs": {"sigma": 1}}},
            },
        },
    }


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("1 + log(price) + deal", "Intercept log(price) deal"),
        ("log(price)", "Intercept log(price)"),
        ("0 + price", "price"),
        ("-1 + price", "price"),
        ("a*b", "Intercept a b a:b"),
        ("(a + b + c)**2 - a:c", "Intercept a b c a:b b:c"),
        ("(price|store)", "Intercept 1|store price|store"),
        ("(0 + price|store:brand)", "Intercept price|store:brand"),
        ("a + offset(log(n))", "Intercept a"),
    ],
)
def test_terms_are_multiplied_out_as_in_r(text: str, terms: str) -> None:
    assert " ".join(term.name for term in parse(text).terms) == terms


def test_parameters_are_named_after_what_is_in_the_term() -> None:
    text = "log(price)*T(kind, ref='a') + bs(week, df=4) + I(x**2) + (x|shop) + log_price"
    assert [term.suffix for term in parse(text).terms] == [
        *("intercept", "log_price", "kind", "log_price_kind", "bs_week", "x_2", "log_price_2"),
        *("intercept_by_shop", "x_by_shop"),
    ]
    assert parse(text).columns == ("price", "kind", "week", "x", "log_price", "shop")


@pytest.mark.parametrize(
    "text",
    [
        "I((a + b) / c)",
        "I(a + (b / c))",
        "I(-(a ** 2))",
        "bs(center(a), df=4)",
        "T(`a b`, ref='x')",
        "I(a == 'x')",
    ],
)
def test_a_part_is_read_back_from_its_text(text: str) -> None:
    assert written(part(text)) == text
    assert part(written(part(text))) == part(text)


UNTRUSTED = {
    "dunder": ("__import__('os')", "Unexpected character: _"),
    "module": ("np.load('x')", "'np.load' is not allowed"),
    "module of a known function": ("np.log(price)", "write log(...) without a module"),
    "attribute": ("price.values", "has a dot"),
    "attribute inside": ("log(price.values)", "has a dot"),
    "builtin": ("eval('1')", "no function 'eval'"),
    "inner builtin": ("log(open('x'))", "no function 'open'"),
    "getattr": ("getattr(price, 'x')", "no function 'getattr'"),
    "result called": ("log(price)(1)", "only named functions can be called"),
    "subscript": ("price['x']", "[...] is not allowed"),
    "text computed": ("I(price * 'x')", "text can only be compared"),
    "lambda": ("lambda x: x", "cannot be read from 'x' on"),
    "rest ignored by formulae": ("1 + price deal", "cannot be read from 'deal' on"),
    "target": ("units ~ price", "data.target"),
    "power of a power": ("I(9 ** 9 ** 9)", "brackets"),
    "minus before a power": ("I(-price ** 2)", "brackets"),
    "explosion": ("(a+b)*(c+d)*(e+f)*(g+h)*(i+j)*(k+l)*(m+n)", "multiplies out"),
    "interactions of high order": ("(a + b)**99", "1 to 4"),
    "depth": ("(" * 600 + "a" + ")" * 600, "deep"),
    "many terms": ("a + " * 300 + "b", "deeper than"),
    "backquote": ("`a", "backquote"),
    "unknown": ("lgo(price)", "did you mean 'log'?"),
    "arguments": ("log(price, 2)", "takes 1 argument"),
    "setting": ("bs(week, knots=3)", "no setting 'knots'"),
    "large": ("bs(week, df=100000)", "up to 100"),
    "thin plates": ("tp(week)", "cr(...)"),
    "inside": ("log(bs(week, df=3))", "a term by itself"),
    "offset": ("offset(a):b", "stands alone"),
    "constant": ("log(2) + price", "reads no column"),
    "empty": (" ", "is empty"),
    "nothing left": ("0", "no term is left"),
    "numbers": ("2 * price", "2 is no term"),
    "printed alike": ("I((a + b) / c) + I(a + b / c)", "two terms are printed"),
    "computed groups": ("(1|log(week))", "groups are columns"),
}


@pytest.mark.parametrize("case", UNTRUSTED)
def test_what_is_no_formula_is_told(case: str) -> None:
    text, reason = UNTRUSTED[case]
    formula, flaws = examine(text)
    assert formula is None
    assert any(reason in flaw for flaw in flaws), flaws
    with pytest.raises(ConfigError) as caught:
        from_dict(sales(formula=text))
    assert "model.quantities.mu.formula: " in str(caught.value)


NORMAL = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}}


@pytest.mark.parametrize(
    ("quantity", "told"),
    [
        ({"priors": {"log(prize)": NORMAL}}, ["priors.'log(prize)'", "did you mean 'log(price)'?"]),
        ({"priors": {"deal": NORMAL | {"dims": ["x"]}}}, ["priors.deal.dims", "leave this out"]),
        ({"priors": {"deal": {"dist": "Normal", "kwargs": {"mu": 0, "sd": 1}}}}, ["kwargs.sd", "'sigma'"]),
        ({"formula": "1 + units"}, ["mu.formula", "is the target"]),
        ({"expression": "1 + price"}, ["both found"]),
        ({"unseen": "zero"}, ["mu.unseen", "error or mean"]),
        (
            {"design": {"terms": [{"name": "x", "parameter": "mu_x"}]}},
            ["terms[0].parameter", "written by a fit"],
        ),
    ],
)
def test_mistakes_beside_a_formula_are_told_with_their_place(
    quantity: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(sales(**quantity))
    assert all(words in str(caught.value) for words in told), caught.value


DESIGN = {
    "terms": [
        {"name": "Intercept", "parameter": "mu_intercept"},
        {"name": "kind", "parameter": "mu_kind", "parts": ["kind"], "full": ["kind"]},
    ],
    "levels": {"kind": ["a", "b"]},
}


@pytest.mark.parametrize(
    ("formula", "design"),
    [
        ("1 + kind + deal", DESIGN),
        ("1", DESIGN),
        ("1 + kind + offset(deal)", DESIGN),
        ("1 + kind", {"terms": DESIGN["terms"]}),
        ("1 + (1|kind)", {"terms": [DESIGN["terms"][0]]}),
    ],
)
def test_a_design_belongs_to_its_formula(formula: str, design: dict[str, Any]) -> None:
    value = sales(formula=formula, design=design)
    value["model"]["parameters"] = {"mu_intercept": NORMAL, "mu_kind": NORMAL | {"dims": ["kinds"]}}
    value["model"]["coords"] = {"kinds": ["a", "b"]}
    with pytest.raises(ConfigError, match=r"mu\.design: was learned for another formula"):
        from_dict(value)
    value["model"]["quantities"]["mu"] = {"formula": "1 + kind", "design": DESIGN}
    assert from_dict(value)


def test_keys_of_a_formula_belong_to_one() -> None:
    value = sales()
    value["model"]["parameters"] = {"a": NORMAL}
    value["model"]["quantities"]["mu"] = {"expression": "a * price", "unseen": "mean"}
    with pytest.raises(ConfigError, match=r"mu\.unseen: belongs to a `formula`"):
        from_dict(value)


def test_parameters_of_terms_are_known_to_other_sections() -> None:
    config = from_dict(sales() | {"transfer": {"pool": {"shared": ["mu_deal"]}}})
    assert config.transfer is not None
    assert from_dict(sales(formula="kind") | {"actionable": {"quantity": "mu_kind[b]", "max_width": 1}})
    with pytest.raises(ConfigError, match="did you mean 'mu_deal'"):
        from_dict(sales() | {"transfer": {"pool": {"shared": ["mu_deall"]}}})


def test_a_configuration_with_a_formula_is_written_and_read_back(tmp_path: Any) -> None:
    config = from_dict(sales(priors={"log(price)": NORMAL}, unseen="mean"))
    assert from_dict(to_dict(config)) == config
    (tmp_path / "c.yaml").write_text(to_yaml(config))
    assert load(tmp_path / "c.yaml") == config


def test_quantities_without_a_formula_have_the_structure_they_had() -> None:
    config = from_dict(
        sales() | {"model": {"parameters": {"a": NORMAL}, "quantities": {"mu": {"expression": "a * price"}},
                             "likelihood": sales()["model"]["likelihood"]}}
    )  # fmt: skip
    assert set(config.model.quantities["mu"].structure()) == {"function", "expression", "arguments"}
