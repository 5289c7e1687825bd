"""Bad configurations: each is found at its place, says what is allowed, and suggests what was meant."""

from pathlib import Path

import pytest

from posterity.config import loads
from posterity.errors import ConfigError

BASE = Path(__file__).with_name("base.yaml").read_text(encoding="utf-8")
RATE = "rate: {dist: HalfNormal, kwargs: {sigma: 1}}"
START = "start: {dist: Normal, kwargs: {mu: 0, sigma: 1}}"
CURVE = "curve: {function: negative_exponential, arguments: {lambda_val: rate, intercept: start}}"
SIGMA = "sigma: {dist: HalfNormal, kwargs: {sigma: 1}}\n"
LIKELIHOOD = "    dist: Normal\n    kwargs:\n      mu: curve\n      " + SIGMA
AR1 = "    errors: {ar1: {rho: {dist: Beta, kwargs: {alpha: 2, beta: 2}}}}\n"

LABELS = """start: {dist: Normal, dims: s}
  coords: {s: [north, south]}
  quantities:
    curve: {expression: @"rate * start['nort']"}
"""

# Each case: what is replaced, by what (@ marks the place that the message must give), path, fragments.
CASES = {
    # sections and keys
    "unknown section": ("inference: {", "@inferense: {", "inferense", ["not a known key", "'inference'?"]),
    "unknown key": (
        "{method: auto}",
        "{@drawz: 9}",
        "inference.drawz",
        ["allowed: method, draws", "'draws'?"],
    ),
    "key of another section": ("{method: auto}", "{@rhat: 1.1}", "inference.rhat", ["belongs into 'gates'"]),
    "missing target": ("  target: y\n", "", "data.target", ["is missing", "explained and predicted"]),
    "missing dist": (RATE, "rate: {kwargs: {sigma: 1}}", "model.parameters.rate.dist", ["is missing"]),
    "section is a list": (
        "inference: {method: auto}",
        "inference: @[1]",
        "inference",
        ["[1] found", "a mapping"],
    ),
    "name is a number": ("name: demo", "name: @3", "name", ["3 found", "text", "quote it", "'3'"]),
    "name is a path": ("name: demo", "name: @../demo", "name", ["letters, digits"]),
    # types and ranges
    "bare no": (
        "intervals",
        "transfer: {pool: {shrink: @no}}\nintervals",
        "transfer.pool.shrink",
        ["mean false?"],
    ),
    "bare yes": (
        "intervals",
        "transfer: {pool: {shrink: @yes}}\nintervals",
        "transfer.pool.shrink",
        ["mean true?"],
    ),
    "draws in floats": (
        "{method: auto}",
        "{draws: @1e3}",
        "inference.draws",
        ["1000.0 found", "did you mean 1000?"],
    ),
    "draws in words": (
        "{method: auto}",
        "{draws: @'1_000'}",
        "inference.draws",
        ["whole number", "mean 1000"],
    ),
    "no chains": ("{method: auto}", "{chains: @0}", "inference.chains", ["0 found", "at least 1"]),
    "unknown method": ("method: auto", "method: @nutz", "inference.method", ["laplace, nuts", "'nuts'?"]),
    "acceptance in percent": (
        "{method: auto}",
        "{target_accept: @90}",
        "inference.target_accept",
        ["mean 0.9 "],
    ),
    "keep more than drawn": (
        "{method: auto}",
        "{draws: 10, keep: @900}",
        "inference.keep",
        ["4 chains of 10", "40"],
    ),
    "interval in percent": ("[0.5, 0.9]", "[0.5, @90]", "intervals[1]", ["90 found", "mean 0.9 "]),
    "interval with a sign": ("[0.5, 0.9]", "[0.5, @90%]", "intervals[1]", ["'90%' found", "mean 0.9,"]),
    "interval zero": ("[0.5, 0.9]", "[@0, 0.9]", "intervals[0]", ["0 found", "more than 0"]),
    "interval twice": ("[0.5, 0.9]", "@[0.5, 0.9, 0.5]", "intervals", ["the same mass stands twice"]),
    "no interval": ("[0.5, 0.9]", "@[]", "intervals", ["[] found", "at least 1"]),
    "R-hat below one": ("intervals", "gates: {rhat: @0.99}\nintervals", "gates.rhat", ["more than 1"]),
    "k-hat beyond one": ("intervals", "gates: {khat: @70}\nintervals", "gates.khat", ["did you mean 0.7"]),
    "broken span": ("intervals", "refit: {every: @4X}\nintervals", "refit.every", ["'4X' found", "4W"]),
    "chunk of nothing": ("intervals", "refit: {every: @0}\nintervals", "refit.every", ["at least 1"]),
    "unknown mode": ("intervals", "refit: {mode: @exakt}\nintervals", "refit.mode", ["reweight", "'exact'?"]),
    "runner": ("intervals", "execution: {runner: @spark}\nintervals", "execution.runner", ["dask or ray"]),
    "share failed": (
        "intervals",
        "execution: {max_failed: @10}\nintervals",
        "execution.max_failed",
        ["mean 0.1 "],
    ),
    "robust in percent": (
        "intervals",
        "transfer: {robust: @10}\nintervals",
        "transfer.robust",
        ["mean 0.1 "],
    ),
    # data
    "entity twice": ("[product, region]", "[product, @product]", "data.entity[1]", ["stands twice"]),
    "entity is target": ("[product, region]", "[product, @y]", "data.entity[1]", ["is the target"]),
    "entity is time": ("[product, region]", "[product, @week]", "data.entity[1]", ["is the time column"]),
    "entity of results": (
        "[product, region]",
        "[product, @status]",
        "data.entity[1]",
        ["column of every result"],
    ),
    "no entity": ("[product, region]", "@[]", "data.entity", ["at least 1"]),
    "target is time": ("target: y", "target: @week", "data.target", ["is the time column too"]),
    # distributions
    "unknown distribution": (
        RATE,
        RATE.replace("HalfN", "@HalvN"),
        "model.parameters.rate.dist",
        ["'HalfNormal'?"],
    ),
    "other name": (START, START.replace("Normal", "@Gaussian"), "model.parameters.start.dist", ["'Normal'?"]),
    "nothing like it": (
        START,
        START.replace("Normal", "@Qqq"),
        "model.parameters.start.dist",
        ["allowed are", "Beta"],
    ),
    "multivariate": (
        START,
        START.replace("Normal", "@MvNormal"),
        "model.parameters.start.dist",
        ["with `dims`"],
    ),
    "discrete prior": (
        RATE,
        "rate: {dist: @Poisson, kwargs: {mu: 3}}",
        "model.parameters.rate.dist",
        ["gradient"],
    ),
    "flat likelihood": (
        LIKELIHOOD,
        "    dist: @Flat\n",
        "model.likelihood.dist",
        ["says nothing about the target"],
    ),
    "unknown kwarg": (
        START,
        "start: {dist: Normal, kwargs: {mu: 0, @sd: 1}}",
        "model.parameters.start.kwargs.sd",
        ["no argument 'sd'", "mu, sigma or tau", "'sigma'?"],
    ),
    "misspelt kwarg": (
        RATE,
        "rate: {dist: Beta, kwargs: {alfa: 1, beta: 2}}".replace("alfa", "@alfa"),
        "model.parameters.rate.kwargs.alfa",
        ["'alpha'?"],
    ),
    "missing kwarg": (
        RATE,
        "rate: {dist: Beta, @kwargs: {alpha: 1}}",
        "model.parameters.rate.kwargs",
        ["alpha found", "alpha and beta, or mu and sigma, or mu and nu"],
    ),
    "missing kwargs": (
        RATE,
        "rate: {dist: @Gamma}",
        "model.parameters.rate.dist",
        ["none found", "alpha and beta"],
    ),
    "two scales": (
        START,
        "start: {dist: Normal, @kwargs: {sigma: 1, tau: 1}}",
        "model.parameters.start.kwargs",
        ["sigma and tau found", "sigma, or tau, or none of them"],
    ),
    "old word params": (
        START,
        "start: {dist: Normal, params: {mu: 0, sigma: @-1}}",
        "model.parameters.start.params.sigma",
        ["-1 found", "positive"],
    ),
    "params and kwargs": (
        START,
        "start: {dist: Normal, kwargs: {mu: 0}, @params: {mu: 0}}",
        "model.parameters.start.params",
        ["not a known key"],
    ),
    "negative scale": (
        RATE,
        RATE.replace("1", "@-1"),
        "model.parameters.rate.kwargs.sigma",
        ["-1 found", "is positive"],
    ),
    "probability in percent": (
        LIKELIHOOD,
        "    dist: Bernoulli\n    kwargs: {p: @30}\n",
        "model.likelihood.kwargs.p",
        ["30 found", "between 0 and 1", "0.3?"],
    ),
    "scale that can be negative": (
        SIGMA,
        "sigma: {dist: @Normal}\n",
        "model.likelihood.kwargs.sigma.dist",
        ["can be negative", "HalfNormal"],
    ),
    "probability that can leave": (
        LIKELIHOOD,
        "    dist: Bernoulli\n    kwargs: {p: {dist: @HalfNormal}}\n",
        "model.likelihood.kwargs.p.dist",
        ["between 0 and 1", "Beta cannot"],
    ),
    "named scale that can be negative": (
        SIGMA,
        "sigma: @start\n",
        "model.likelihood.kwargs.sigma",
        ["'start' found", "can be negative"],
    ),
    "bounds turned": (
        START,
        "start: {dist: Uniform, kwargs: {lower: @1, upper: 0}}",
        "model.parameters.start.kwargs.lower",
        ["upper is 0"],
    ),
    "list without dims": (
        START,
        "start: {dist: Normal, kwargs: {mu: @[0, 1]}}",
        "model.parameters.start.kwargs.mu",
        ["needs `dims`"],
    ),
    "kwarg true": (
        START,
        "start: {dist: Normal, kwargs: {mu: @true}}",
        "model.parameters.start.kwargs.mu",
        ["true found", "a number"],
    ),
    "unknown transform": (
        START,
        START.replace("}}", "}, transform: @sigmoyd}"),
        "model.parameters.start.transform",
        ["'sigmoid'?"],
    ),
    "non-centered family": (
        RATE,
        RATE.replace("}}", "}, centered: @false}"),
        "model.parameters.rate.centered",
        ["Normal or StudentT"],
    ),
    "non-centered without scale": (
        START,
        "start: {dist: Normal, kwargs: {mu: 0}, centered: @false}",
        "model.parameters.start.centered",
        ["without sigma"],
    ),
    "dims twice": (
        START,
        START.replace("}}", "}, dims: @[a, a]}"),
        "model.parameters.start.dims",
        ["name each dimension once"],
    ),
    "inner dims": (
        START,
        "start: {dist: Normal, kwargs: {mu: {dist: Normal, dims: @school}}}",
        "model.parameters.start.kwargs.mu.dims",
        ["school found", "no dims"],
    ),
    # names
    "keyword": (
        RATE,
        RATE.replace("rate", "@lambda"),
        "model.parameters.lambda",
        ["word of Python", "'lambda_val'"],
    ),
    "no identifier": (
        RATE,
        RATE.replace("rate", "@my rate"),
        "model.parameters.'my rate'",
        ["'my_rate' would do"],
    ),
    "compatibility character": (RATE, RATE.replace("rate", "@\N{MICRO SIGN}"), None, ["Python reads as"]),
    "reserved": (RATE, RATE.replace("rate", "@chain"), "model.parameters.chain", ["table of draws"]),
    "named as target": (
        RATE,
        RATE.replace("rate", "@y"),
        "model.parameters.y",
        ["already the target column"],
    ),
    "quantity as parameter": (
        CURVE,
        CURVE.replace("curve", "@start"),
        "model.quantities.start",
        ["already a parameter"],
    ),
    "likelihood prior as parameter": (
        RATE,
        RATE + "\n    sigma: {dist: HalfNormal}",
        "model.likelihood.kwargs.sigma",
        ["already a parameter"],
    ),
    "implied name": (
        START,
        "start: {dist: Normal, kwargs: {@mu: {dist: Normal}}}\n    start_mu: {dist: Normal}",
        "model.parameters.start.kwargs.mu",
        ["'start_mu'", "already a parameter"],
    ),
    "prior names nothing": (
        START,
        "start: {dist: Normal, kwargs: {mu: @ratte}}",
        "model.parameters.start.kwargs.mu",
        ["ratte", "no parameter", "'rate'?"],
    ),
    "prior names a later one": (
        RATE,
        "rate: {dist: Normal, kwargs: {mu: @start}}",
        "model.parameters.rate.kwargs.mu",
        ["further down"],
    ),
    "prior names itself": (
        RATE,
        "rate: {dist: Normal, kwargs: {mu: @rate}}",
        "model.parameters.rate.kwargs.mu",
        ["itself"],
    ),
    "prior names a column": (
        START,
        "start: {dist: Normal, kwargs: {mu: @week}}",
        "model.parameters.start.kwargs.mu",
        ["differs by row"],
    ),
    "number in quotes": (
        START,
        "start: {dist: Normal, kwargs: {mu: @'0.5'}}",
        "model.parameters.start.kwargs.mu",
        ["the number 0.5?"],
    ),
    "unused parameter": (
        START,
        START + "\n    @extra: {dist: Normal}",
        "model.parameters.extra",
        ["uses 'extra'"],
    ),
    "misspelt in an expression": (
        CURVE,
        "curve: {expression: start * raet}",
        "model.parameters.rate",
        ["is it meant by 'raet'?"],
    ),
    "no parameter at all": (
        BASE[BASE.index("  parameters") : BASE.index("inference")],
        "  @likelihood: {dist: Normal, kwargs: {mu: price, sigma: 1}}\n",
        "model.likelihood",
        ["nothing to learn"],
    ),
    "coords of nothing": (
        "  likelihood:\n",
        "  coords: {@shcool: [a]}\n  likelihood:\n",
        "model.coords.shcool",
        ["no parameter has"],
    ),
    "labels twice": (
        START,
        "start: {dist: Normal, dims: s}\n  coords: {s: @[a, a]}",
        "model.coords.s",
        ["a found twice"],
    ),
    # quantities
    "misspelt curve": (
        CURVE,
        CURVE.replace("negative_e", "@negativ_e"),
        "model.quantities.curve.function",
        ["are built in", "`package.module:function`", "'negative_exponential'?"],
    ),
    "dotted function": (
        CURVE,
        "curve: {function: @my.module.curve}",
        "model.quantities.curve.function",
        ["'my.module:curve'?"],
    ),
    "unknown argument": (
        CURVE,
        CURVE.replace("lambda_val:", "@lambda_vel:"),
        "model.quantities.curve.arguments.lambda_vel",
        ["x, lambda_val or intercept", "'lambda_val'?"],
    ),
    "x without time": ("  time: week\n", "", "model.quantities.curve.function", ["data.time is missing"]),
    "function and expression": (
        CURVE,
        "@curve: {function: linear, expression: start}",
        "model.quantities.curve",
        ["both found"],
    ),
    "neither": (CURVE, "@curve: {}", "model.quantities.curve", ["neither found"]),
    "arguments of an expression": (
        CURVE,
        "curve: {expression: start * rate, arguments: @{x: week}}",
        "model.quantities.curve.arguments",
        ["only functions"],
    ),
    "broken expression": (
        CURVE,
        "curve: {expression: @start * (rate}",
        "model.quantities.curve.expression",
        ["never closed"],
    ),
    "power sign": (
        CURVE,
        "curve: {expression: @start^rate}",
        "model.quantities.curve.expression",
        ["write **"],
    ),
    "unknown function": (
        CURVE,
        "curve: {expression: @start + exq(rate)}",
        "model.quantities.curve.expression",
        ["at character 9", "'exp'?"],
    ),
    "attack": (
        CURVE,
        "curve: {expression: '@().__class__'}".replace("'@", "@'"),
        "model.quantities.curve.expression",
        ["a dot is not allowed"],
    ),
    "forward reference": (
        CURVE,
        "curve: {expression: @late + rate + start}\n    late: {expression: week}",
        "model.quantities.curve.expression",
        ["'late' stands further down"],
    ),
    "circle": (
        CURVE,
        "curve: {expression: @late + rate + start}\n    late: {expression: curve}",
        "model.quantities.curve.expression",
        ["circle", "curve uses late uses curve"],
    ),
    "quantity uses itself": (
        CURVE,
        "curve: {expression: @curve + rate}",
        "model.quantities.curve.expression",
        ["this quantity itself"],
    ),
    "target explains itself": (
        CURVE,
        "curve: {expression: @y * rate}",
        "model.quantities.curve.expression",
        ["is the target"],
    ),
    "uses likelihood's prior": (
        CURVE,
        "curve: {expression: @sigma * rate}",
        "model.quantities.curve.expression",
        ["inside the likelihood"],
    ),
    "subscript of a scalar": (
        CURVE,
        "curve: {expression: '@rate[region]'}".replace("'@", "@'"),
        "model.quantities.curve.expression",
        ["no parameter with dims"],
    ),
    "vector without subscript": (
        START,
        "start: {dist: Normal, dims: [store]}",
        "model.quantities.curve.arguments.intercept",
        ["is a vector", "start[store]"],
    ),
    "unknown label": (
        BASE[BASE.index(START) : BASE.index("  likelihood")],
        LABELS,
        "model.quantities.curve.expression",
        ["no label 'nort'", "'north'?"],
    ),
    "index is a parameter": (
        BASE[BASE.index(START) : BASE.index("  likelihood")],
        "start: {dist: Normal, dims: s}\n  quantities:\n    curve: {expression: @'start[rate]'}\n",
        "model.quantities.curve.expression",
        ["'rate' is a parameter"],
    ),
    # likelihood
    "target in the likelihood": (
        "mu: curve",
        "mu: @y",
        "model.likelihood.kwargs.mu",
        ["cannot explain itself"],
    ),
    "list in the likelihood": ("mu: curve", "mu: @[1, 2]", "model.likelihood.kwargs.mu", ["one value a row"]),
    "ar1 of counts": (
        LIKELIHOOD,
        "    dist: Poisson\n    kwargs: {mu: curve}\n" + AR1.replace("errors: ", "errors: @"),
        "model.likelihood.errors",
        ["Poisson found", "Laplace, Logistic, Normal or StudentT"],
    ),
    "ar1 without time": (
        BASE[BASE.index("  time") : BASE.index("inference")],
        BASE[BASE.index("  target") : BASE.index("inference")].replace("lambda_val:", "x: price, lambda_val:")
        + AR1.replace("errors", "@errors"),
        "model.likelihood.errors",
        ["need data.time"],
    ),
    "ar1 beyond one": (
        SIGMA,
        SIGMA + AR1.replace("Beta, kwargs: {alpha: 2, beta: 2}", "@Normal"),
        "model.likelihood.errors.ar1.rho.dist",
        ["0..1", "Beta"],
    ),
    "ar1 misspelt": (
        SIGMA,
        SIGMA + "    errors: {@ar2: {}, ar1: {rho: {dist: Beta, kwargs: {alpha: 2, beta: 2}}}}\n",
        "model.likelihood.errors.ar2",
        ["not a known key", "allowed: ar1"],
    ),
    "rho taken": (
        RATE,
        RATE.replace("rate", "rho"),
        "model.likelihood.errors.ar1.rho",
        ["already a parameter"],
    ),
    "discrete rho": (
        SIGMA,
        SIGMA + AR1.replace("Beta, kwargs: {alpha: 2, beta: 2}", "@Bernoulli, kwargs: {p: 0.5}"),
        "model.likelihood.errors.ar1.rho.dist",
        ["discrete"],
    ),
}

NO_MARK = {
    "missing target",
    "missing dist",
    "x without time",
    "misspelt in an expression",
    "likelihood prior as parameter",
    "rho taken",
    "vector without subscript",
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_explained_where_it_stands(case):
    old, new, path, fragments = CASES[case]
    base = BASE.replace(SIGMA, SIGMA + AR1) if case == "rho taken" else BASE
    assert base.count(old) >= 1, "the case replaces nothing"
    marked = base.replace(old, new, 1)
    text = marked.replace("@", "")
    with pytest.raises(ConfigError) as caught:
        loads(text, "demo.yaml")
    messages = [str(problem) for problem in caught.value.problems]
    about = [m for m in messages if path is None or f" {path}: " in m]
    assert about, messages
    for fragment in fragments:
        assert any(fragment in message for message in about), messages
    if case not in NO_MARK:
        before = marked[: marked.index("@")]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        assert any(m.startswith(f"demo.yaml:{line}:{column} ") for m in about), messages


def test_the_base_is_fine():
    assert loads(BASE).model.likelihood.errors is None
    assert loads(BASE.replace(SIGMA, SIGMA + AR1)).model.likelihood.errors is not None


def test_all_problems_come_together_in_the_order_of_the_file():
    text = (
        BASE.replace("demo", "''")
        .replace("HalfNormal", "HalfNorm", 1)
        .replace("mu: 0", "mu: nobody")
        .replace("negative_e", "e")
        .replace("method: auto", "drawz: 3, chains: 0")
        .replace("0.9", "90")
    )
    with pytest.raises(ConfigError) as caught:
        loads(text, "demo.yaml")
    lines = [int(str(p).split(":")[1]) for p in caught.value.problems]
    assert lines == sorted(lines)
    assert {1, 9, 10, 12, 18, 19} <= set(lines)
    assert sum(line == 18 for line in lines) == 2


def test_without_a_file_there_are_no_positions():
    from posterity.config import from_dict

    with pytest.raises(ConfigError) as caught:
        from_dict({"name": "x", "data": {"entity": "a", "target": "y"}, "model": {"likelihod": 1}})
    assert all(p.where is None for p in caught.value.problems)
    assert "model.likelihod: not a known key" in str(caught.value)
