"""What a prior has to agree on with a model: its parameters, their scales, and all that is no prior."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

import numpy as np

from posterity.config import PriorSpec
from posterity.config.distributions import DISTRIBUTIONS, Support
from posterity.config.families import NON_CENTERED
from posterity.config.priors import LIMITS
from posterity.config.schema import Model
from posterity.lineage.hashing import digest
from posterity.models import Description
from posterity.models.description import codes

type Bounds = tuple[Any, Any]
type Scales = Mapping[str, tuple[float, float]]
type Ranges = Mapping[str, tuple[float, float]]


class Fixed(Protocol):
    """What models have fixed of a panel: a description, or the structure of a prior."""

    @property
    def scales(self) -> Scales:
        """Centre and sd of columns."""

    @property
    def ranges(self) -> Ranges:
        """Low and high of the smooths, by quantity."""


INTERVALS = {"Uniform": (0.0, 1.0), "Triangular": (0.0, 1.0), "TruncatedNormal": (-inf, inf)}
"""Families bounded by `lower` and `upper`, with what PyMC takes where these are not given."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A parameter as a structure has it: declared family, scale and the labels of its dimensions."""

    family: str
    scale: str
    levels: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Structure:
    """A model without the numbers inside its priors; `rest` digests curve, likelihood, inputs and time.

    A joint prior on θ means the same in two models with equal `rest` whose parameters have equal scales,
    whatever the declared families: the mixture takes their place. `scales` are the numbers (centre, sd) by
    which columns are scaled before the model reads them, `ranges` those (low, high) that smooth functions are
    made for, by quantity.
    """

    key: str
    rest: str = ""
    parameters: Mapping[str, Unknown] = field(default_factory=dict)
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, description: Description) -> "Structure":
        """The structure that a description declares, without transfer."""
        declared = description.with_transfer(())
        unknowns = {
            name: Unknown(
                spec.dist, scale(spec), tuple(tuple(map(str, declared.levels.get(d, ()))) for d in spec.dims)
            )
            for name, spec in declared.priors.items()
        }
        scales, ranges = dict(declared.scales), dict(declared.ranges)
        return cls(declared.key, digest(_rest(declared)), unknowns, scales, ranges)

    def differences(self, other: "Structure") -> list[str]:
        """In what way this structure, a prior's, does not fit `other`, a model's: one sentence each."""
        if not self.parameters or not other.parameters:
            return [] if self.key == other.key else ["it was made for another model"]
        mine, theirs = self.parameters, other.parameters
        found = [f"{name} is no parameter of the model" for name in mine if name not in theirs]
        found += [f"the prior lacks {name}" for name in theirs if name not in mine]
        for name in (n for n in mine if n in theirs):
            if mine[name].scale != theirs[name].scale:
                found.append(
                    f"{name} is on the scale {mine[name].scale!r} in the prior and {theirs[name].scale!r} in "
                    "the model"
                )
            elif _differ(mine[name].levels, theirs[name].levels):
                found.append(f"the entries of {name} have other labels")
        found += scales_apart(self.scales, other.scales, {*self.scales, *other.scales})
        found += [
            f"{name} is made for the range {spelt_range(self.ranges[name])} in the prior and "
            f"{spelt_range(other.ranges[name])} in the model"
            for name in self.ranges
            if name in other.ranges and self.ranges[name] != other.ranges[name]
        ]
        if not found and self.rest != other.rest:
            found.append("the parameters agree, but curve, likelihood or inputs differ")
        return found


def scales_apart(mine: Scales, theirs: Scales, columns: Iterable[str]) -> list[str]:
    """A sentence for every column that two models read on different scales: a prior's and the model's."""
    return [
        f"{name} is read with {spelt(mine.get(name))} in the prior and {spelt(theirs.get(name))} in the model"
        for name in sorted(columns)
        if mine.get(name) != theirs.get(name)
    ]


def spelt(scale: tuple[float, float] | None) -> str:
    """Centre and sd in words."""
    return "no scale" if scale is None else f"centre {scale[0]:.10g} and sd {scale[1]:.10g}"


def spelt_range(ends: tuple[float, float]) -> str:
    """A range in words."""
    return f"{ends[0]:.10g} to {ends[1]:.10g}"


def _differ(mine: tuple[tuple[str, ...], ...], theirs: tuple[tuple[str, ...], ...]) -> bool:
    """Whether labels differ; those of a dimension that a panel has yet to give are unknown, and do not."""
    return len(mine) != len(theirs) or any(a != b for a, b in zip(mine, theirs, strict=True) if a and b)


def bounds(spec: PriorSpec) -> Bounds | None:
    """Least and largest value of a prior, its transform aside; None where other parameters decide them.

    Numbers, or arrays where the argument is a list.
    """
    ends = _ends(spec)
    if any(isinstance(end, str | PriorSpec) or end is None for end in ends):
        return None
    low, high = (np.asarray(end, np.float64) if isinstance(end, tuple) else float(end) for end in ends)
    return low, high


def _ends(spec: PriorSpec) -> tuple[Any, Any]:
    """What a prior gives as its ends: numbers, lists, nested priors, names or nothing."""
    given, support = spec.kwargs, DISTRIBUTIONS[spec.dist].support
    if spec.dist in INTERVALS:
        low, high = INTERVALS[spec.dist]
        return given.get("lower", low), given.get("upper", high)
    if spec.dist == "Pareto":
        return given.get("m"), inf
    if spec.dist == "Interpolated":
        points = given.get("x_points")
        return (points[0], points[-1]) if isinstance(points, tuple) else (None, None)
    if support in (Support.POSITIVE, Support.NONNEGATIVE):
        return 0.0, inf
    return (0.0, 1.0) if support is Support.UNIT else (-inf, inf)


def scale(spec: PriorSpec) -> str:
    """The unconstrained scale of a parameter in words; equal words mean that equal θ are equal values.

    >>> scale(PriorSpec(dist="HalfNormal", kwargs={"sigma": 1.0}))
    'positive'
    """
    words = _region(spec)
    inner = {k: v for k, v in spec.kwargs.items() if isinstance(v, PriorSpec)}
    if spec.dist in NON_CENTERED and not spec.centered:
        words = f"offset of {spec.dist}"
    if inner:
        words += f" given {', '.join(f'{k}: {scale(v)}' for k, v in sorted(inner.items()))}"
    return words + (f", then {spec.transform}" if spec.transform else "")


def _region(spec: PriorSpec) -> str:
    support = DISTRIBUTIONS[spec.dist].support
    if spec.dist not in (*INTERVALS, "Pareto", "Interpolated"):
        named = {Support.UNIT: "0 to 1", Support.CIRCULAR: "circle", Support.REAL: "real"}
        return named.get(support, "positive")
    found = bounds(spec)
    if found is None:
        return "interval between other parameters"
    low, high = (np.asarray(end).tolist() for end in found)
    if (low, high) == (-inf, inf):
        return "real"
    return f"interval from {'no end' if low == -inf else low} to {'no end' if high == inf else high}"


def _limits(model: Model) -> Iterator[Any]:
    if model.likelihood is not None:
        for key in LIMITS:
            if (limits := getattr(model.likelihood, key)) is not None:
                yield [key, limits.lower, limits.upper]


def _rest(description: Description) -> Any:
    """All of a structure that is no prior, in plain values."""
    model = description.model
    remembered = {name: memory.model_dump(mode="json") for name, memory in description.history.items()}
    return {
        **({"history": remembered} if remembered else {}),
        "likelihood": [
            model.family.name,
            {k: v for k, v in model.observed.items() if not isinstance(v, PriorSpec)},
            model.errors is not None,
            *_limits(model),
        ],
        "quantities": {name: q.structure() for name, q in model.quantities.items()},
        "code": codes(model),
        "time": description.time,
        "inputs": list(description.inputs),
        "indices": [list(pair) for pair in description.indices],
    }
