"""Problems in words, as papers and Stan's programs state them, into configurations.

A line each: priors (`sigma ~ half_cauchy(2.5)`), vectors with an entry a level (`a[school] ~ normal(mu, s)`,
with `, standardised` where they are sampled as offsets), labels of a dimension (`older = 30-44 | 45-64`), and
last how the target scatters: `y ~ normal(a + b * x, sigma)`, or by a function of one's own,
`y ~ package.module:function(x)`.
"""

import re
from collections.abc import Iterator
from typing import Any

FAMILIES = {
    "normal": ("Normal", "mu", "sigma"),
    "student_t": ("StudentT", "nu", "mu", "sigma"),
    "lognormal": ("LogNormal", "mu", "sigma"),
    "beta": ("Beta", "alpha", "beta"),
    "exponential": ("Exponential", "lam"),
    "half_normal": ("HalfNormal", "sigma"),
    "half_cauchy": ("HalfCauchy", "beta"),
    "half_flat": ("HalfFlat",),
    "flat": ("Flat",),
    "bernoulli_logit": ("Bernoulli", "logit_p"),
    "poisson": ("Poisson", "mu"),
}
STATEMENT = re.compile(
    r"(\w+)(?:\[(\w+)\])? ~ ([\w.:]+)(?:\((.*)\))?(?:, (standardised|given all rows before))?"
)


def configuration(
    name: str, words: str, *, time: str | None = None, source: str | None = None
) -> dict[str, Any]:
    """The configuration of one entity, `study`, that says what the words say."""
    parameters: dict[str, Any] = {}
    coords: dict[str, list[str]] = {}
    *lines, last = [line.strip() for line in words.strip().splitlines()]
    for line in lines:
        if " = " in line:
            dim, _, labels = line.partition(" = ")
            coords[dim] = labels.split(" | ")
        else:
            parameters |= _prior(line)
    target, _, family, given, how = _parts(last)
    model: dict[str, Any] = {"parameters": parameters}
    model |= {"coords": coords} if coords else {}
    if ":" in family:
        columns = [c for c in _split(given) if c not in parameters]
        model["build"] = {"function": family, "columns": columns, "lookback": "all" if how else 0}
    else:
        model |= _likelihood(family, given)
    data = {"entity": "study", "target": target} | ({"time": time} if time else {})
    return {"name": name, "data": data | ({"source": source} if source else {}), "model": model}


def _prior(line: str) -> dict[str, Any]:
    name, dim, family, given, how = _parts(line)
    dist, *names = FAMILIES[family]
    prior: dict[str, Any] = {
        "dist": dist,
        "kwargs": dict(zip(names, map(_value, _split(given)), strict=True)),
    }
    prior |= {"dims": [dim]} if dim else {}
    return {name: prior | ({"centered": False} if how else {})}


def _likelihood(family: str, given: str) -> dict[str, Any]:
    dist, *names = FAMILIES[family]
    quantities, kwargs = {}, {}
    for argument, text in zip(names, _split(given), strict=True):
        kwargs[argument] = _value(text)
        if isinstance(kwargs[argument], str) and not text.isidentifier():
            quantities[f"{argument}_of_row"], kwargs[argument] = {"expression": text}, f"{argument}_of_row"
    return {"quantities": quantities, "likelihood": {"dist": dist, "kwargs": kwargs}}


def _parts(line: str) -> tuple[str, str | None, str, str, str | None]:
    found = STATEMENT.fullmatch(line)
    assert found is not None, f"no statement: {line}"
    name, dim, family, given, how = found.groups()
    return name, dim, family, given or "", how


def _split(text: str) -> list[str]:
    """Arguments at the commas outside of brackets."""
    return [part.strip() for part in _pieces(text) if part.strip()]


def _pieces(text: str) -> Iterator[str]:
    depth, begin = 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and not depth:
            yield text[begin:at]
            begin = at + 1
    yield text[begin:]


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
