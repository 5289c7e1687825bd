"""Whether a distribution is known, is given the arguments it has, and these are in range."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, pi
from types import MappingProxyType
from typing import Any, TypeGuard

from posterity.config.distributions import (
    DISTRIBUTIONS,
    IMPROPER,
    POSITIVE_TRANSFORMS,
    TRANSFORMS,
    UNIT_TRANSFORMS,
    UNSUPPORTED,
    VECTOR_KWARGS,
    Distribution,
    Domain,
    Support,
)
from posterity.config.findings import Finding, Path
from posterity.config.labels import numbered
from posterity.config.words import listed, meant, quoted

type Raw = Mapping[str, Any]

_OTHER_WORDS = {
    "sd": "sigma", "std": "sigma", "stddev": "sigma", "scale": "sigma", "loc": "mu", "mean": "mu",
    "location": "mu", "rate": "lam", "lambda": "lam", "df": "nu", "prob": "p", "probability": "p",
    "precision": "tau", "a": "alpha", "b": "beta", "min": "lower", "max": "upper", "low": "lower",
    "high": "upper", "logit": "logit_p",
}  # fmt: skip
_OTHER_NAMES = {
    "Gaussian": "Normal",
    "Student": "StudentT",
    "Chi2": "ChiSquared",
    "T": "StudentT",
    "NB": "NegativeBinomial",
}
NON_CENTERED = ("Normal", "StudentT")


@dataclass(frozen=True, slots=True)
class Described:
    """A prior or likelihood as the file has it, and where; `role` is parameter, nested, likelihood, sigma
    or rho."""

    path: Path
    spec: Raw
    role: str
    parent: Raw | None = None

    @property
    def key(self) -> str:
        """The key that holds the arguments: `params` is the old wrapper's word."""
        return "params" if "params" in self.spec and "kwargs" not in self.spec else "kwargs"

    @property
    def kwargs(self) -> Raw:
        """The arguments, empty where the file has something else."""
        return mapping(self.spec.get(self.key))

    @property
    def dims(self) -> tuple[str, ...]:
        """The dims, where they are well-formed."""
        return words(self.spec.get("dims"))


def mapping(value: Any) -> Raw:
    """The value if it is a mapping, else an empty one: its shape has been complained about already."""
    return value if isinstance(value, Mapping) else {}


def words(value: Any) -> tuple[str, ...]:
    """One string or a list of strings as a tuple; anything else is left out."""
    if isinstance(value, str):
        return (value,)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list | tuple) else ()


def described(model: Raw) -> Iterator[Described]:
    """Every prior and the likelihood of a model section, parents before what is nested in them."""
    for name, spec in mapping(model.get("parameters")).items():
        yield from _nested(Described(("model", "parameters", name), mapping(spec), "parameter"))
    likelihood = mapping(model.get("likelihood"))
    yield from _nested(Described(("model", "likelihood"), likelihood, "likelihood"))
    rho = mapping(mapping(mapping(likelihood.get("errors")).get("ar1")).get("rho"))
    yield from _nested(Described(("model", "likelihood", "errors", "ar1", "rho"), rho, "rho"))


def _nested(outer: Described) -> Iterator[Described]:
    yield outer
    role = "sigma" if outer.role == "likelihood" else "nested"
    for kwarg, value in outer.kwargs.items():
        if isinstance(value, Mapping):
            yield from _nested(Described((*outer.path, outer.key, kwarg), value, role, outer.spec))


def findings(model: Raw) -> Iterator[Finding]:
    """What is wrong with the distributions of a model section, each on its own."""
    coords = {name: numbered(labels) for name, labels in mapping(model.get("coords")).items()}
    for one in described(model):
        yield from flaws(one, coords)


def flaws(one: Described, coords: Raw = MappingProxyType({})) -> Iterator[Finding]:
    """What is wrong with one distribution, whatever is nested in it left out."""
    yield from _shape(one)
    name = one.spec.get("dist")
    if not isinstance(name, str):
        return
    if name not in DISTRIBUTIONS:
        yield Finding((*one.path, "dist"), unknown(name))
        return
    family = DISTRIBUTIONS[name]
    yield from _fitness(one, family)
    yield from _arguments(one, family)
    yield from _values(one, family, coords)


def unknown(name: str) -> str:
    """Why a name is no distribution, and what it may have meant."""
    if name in UNSUPPORTED:
        return f"{name} cannot be used in a configuration: {UNSUPPORTED[name]}"
    if name in _OTHER_NAMES:
        return f"no distribution {quoted(name)}; did you mean {_OTHER_NAMES[name]!r}?"
    hint = meant(name, DISTRIBUTIONS) or "; allowed are PyMC's scalar distributions: " + listed(DISTRIBUTIONS)
    return f"no distribution {quoted(name)}{hint}"


def _shape(one: Described) -> Iterator[Finding]:
    dims = one.dims
    if len(set(dims)) < len(dims):
        yield Finding((*one.path, "dims"), f"{quoted(dims)} found; name each dimension once")
    if dims and one.role in ("sigma", "rho"):
        yield Finding(
            (*one.path, "dims"),
            "a prior inside the likelihood is one number; declare the vector under model.parameters and "
            "pick the row's "
            "entry in a quantity, as in `expression: sigma_by_group[group]`",
        )
    if one.role == "nested" and one.parent is not None:
        outer = words(one.parent.get("dims"))
        if extra := [dim for dim in dims if dim not in outer]:
            yield Finding(
                (*one.path, "dims"),
                f"{listed(extra)} found, but the prior around it has "
                f"{listed(outer) if outer else 'no dims'}; "
                "an inner prior has the outer dims or fewer",
            )
    transform = one.spec.get("transform")
    if isinstance(transform, str) and transform not in TRANSFORMS:
        yield Finding(
            (*one.path, "transform"),
            f"no transform {quoted(transform)}; allowed: {listed(TRANSFORMS)}{meant(transform, TRANSFORMS)}",
        )


def _fitness(one: Described, family: Distribution) -> Iterator[Finding]:
    place = (*one.path, "dist")
    if one.role == "likelihood":
        if family.name in IMPROPER:
            yield Finding(
                place, f"{family.name} says nothing about the target; choose a distribution with a scale"
            )
        if one.spec.get("errors") is not None and not family.location_scale:
            able = [f.name for f in DISTRIBUTIONS.values() if f.location_scale]
            yield Finding(
                (*one.path, "errors"),
                f"{family.name} found; errors that depend on each other need a location and a scale: "
                f"{listed(able)}",
            )
        return
    if family.discrete:
        yield Finding(
            place,
            f"{family.name} is discrete and found as a prior; every parameter needs a gradient, so choose a "
            "continuous distribution (or sum the discrete unknown out of the likelihood)",
        )
    if one.role == "rho":
        low, high = bounds(one.spec)
        # Rows may be any time apart, and a negative number has no power of a fraction.
        if low < 0 or high > 1:
            yield Finding(
                place,
                f"{family.name} found, which leaves 0..1; the dependence of errors between rows stays "
                "inside: Beta, or Uniform with lower 0 and upper 1",
            )
    if one.spec.get("centered") is False:
        if family.name not in NON_CENTERED:
            yield Finding(
                (*one.path, "centered"),
                f"false found for {family.name}; only {listed(NON_CENTERED)} can be non-centered",
            )
        elif lacking := [k for k in ("mu", "sigma") if k not in one.kwargs]:
            yield Finding(
                (*one.path, "centered"),
                f"false found without {listed(lacking, 'and')}; a non-centered prior gives both",
            )


def _arguments(one: Described, family: Distribution) -> Iterator[Finding]:
    strange = [kwarg for kwarg in one.kwargs if kwarg not in family.kwargs]
    for kwarg in strange:
        other = _OTHER_WORDS.get(kwarg.lower())
        hint = f"; did you mean {other!r}?" if other in family.kwargs else meant(kwarg, family.kwargs)
        allowed = f"allowed: {listed(family.kwargs)}" if family.kwargs else "it takes none"
        yield Finding(
            (*one.path, one.key, kwarg),
            f"{family.name} has no argument {quoted(kwarg)}; {allowed}{hint}",
            at_key=True,
        )
    given = frozenset(one.kwargs)
    if strange or family.accepts(given):
        return
    choices = " | ".join(" and ".join(choice) or "none of them" for choice in family.parameterisations)
    chosen = [k for k in family.kwargs if k in family.chosen(given)]
    found = f"{listed(chosen, 'and')} found" if chosen else "none found"
    needed = f"{family.name} needs {choices.replace(' | ', ', or ')}"
    place = (*one.path, one.key) if one.key in one.spec else (*one.path, "dist")
    yield Finding(place, f"{found}; {needed}", at_key=one.key in one.spec)


def _values(one: Described, family: Distribution, coords: Raw) -> Iterator[Finding]:
    for kwarg, value in one.kwargs.items():
        if kwarg not in family.kwargs:
            continue
        place = (*one.path, one.key, kwarg)
        domain = family.domain(kwarg)
        if isinstance(value, list | tuple):
            yield from _list(one, family, kwarg, value, coords)
        elif isinstance(value, Mapping):
            if flaw := misfit(bounds(value), domain):
                found = quoted(value.get("dist"))
                yield Finding(
                    (*place, "dist"), f"{found} found; {kwarg} of {family.name} is {domain.value}, {flaw}"
                )
        elif flaw := _outside(value, domain):
            yield Finding(place, f"{quoted(value)} found; {kwarg} of {family.name} is {flaw}")
    low, high = one.kwargs.get("lower"), one.kwargs.get("upper")
    if "lower" in family.kwargs and _number(low) and _number(high) and low >= high:
        place = (*one.path, one.key, "lower")
        yield Finding(place, f"{low} found, but upper is {high}; lower is the smaller one")


def _list(one: Described, family: Distribution, kwarg: str, entries: Any, coords: Raw) -> Iterator[Finding]:
    place = (*one.path, one.key, kwarg)
    if kwarg not in VECTOR_KWARGS.get(family.name, frozenset()):
        if not one.dims:
            of_rows = one.role == "likelihood"
            reason = "the likelihood takes one value a row" if of_rows else "a list needs `dims`"
            yield Finding(place, f"{quoted(entries)} found; {reason}")
        elif len(one.dims) == 1:
            labels = coords.get(one.dims[0])
            if isinstance(labels, list | tuple) and len(labels) != len(entries):
                yield Finding(
                    place, f"{len(entries)} numbers found for {len(labels)} labels of {one.dims[0]!r}"
                )
    for number, entry in enumerate(entries):
        if flaw := _outside(entry, family.domain(kwarg)):
            yield Finding((*place, number), f"{quoted(entry)} found; {kwarg} of {family.name} is {flaw}")


def _outside(value: object, domain: Domain) -> str | None:
    if not _number(value):
        return None
    allowed = str(domain.value)
    match domain:
        case Domain.POSITIVE if value <= 0:
            return allowed
        case Domain.PROBABILITY if not 0 <= value <= 1:
            return allowed + (f"; did you mean {value / 100:g}?" if 1 < value <= 100 else "")
        case Domain.COUNT if value < 0 or value != int(value):
            return allowed
    return None


def misfit(limits: tuple[float, float], domain: Domain) -> str | None:
    """Why values between these limits do not fit an argument, with what would; None if they may."""
    low, high = limits
    if domain is Domain.POSITIVE and low < 0:
        return "and this can be negative: HalfNormal, Exponential, Gamma or LogNormal cannot"
    if domain is Domain.PROBABILITY and (low < 0 or high > 1):
        return "and this can leave that: Beta cannot"
    return None


def bounds(spec: Raw) -> tuple[float, float]:
    """Between what numbers a prior's values are known to be; where that is unknown, the narrowest, so as
    not to accuse."""
    transform = spec.get("transform")
    if transform is not None:
        if transform in UNIT_TRANSFORMS:
            return 0, 1
        if transform == "tanh":
            return -1, 1
        return (0, inf) if transform in POSITIVE_TRANSFORMS else (0, 0)
    family = DISTRIBUTIONS.get(str(spec.get("dist")))
    if family is None:
        return 0, 0
    match family.support:
        case Support.REAL:
            return -inf, inf
        case Support.CIRCULAR:
            return -pi, pi
        case Support.UNIT:
            return 0, 1
        case Support.POSITIVE | Support.NONNEGATIVE:
            return 0, inf
    if family.name not in ("Uniform", "TruncatedNormal", "Triangular"):
        return 0, 0
    kwargs = Described((), spec, "parameter").kwargs
    ends = (-inf, inf) if family.name == "TruncatedNormal" else (0, 1)
    low, high = kwargs.get("lower", ends[0]), kwargs.get("upper", ends[1])
    return (low if _number(low) else 0), (high if _number(high) else 0)


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
