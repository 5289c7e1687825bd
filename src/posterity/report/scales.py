"""Entries of θ on the scale of the parameters they stand for, where one simple function leads there."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from posterity.report.density import Density

type Floats = NDArray[np.float64]

# PyMC's names of value variables say which transform they are on.
_SUFFIXES: Mapping[str, str] = MappingProxyType({"_log__": "log", "_logodds__": "logit", "": ""})
_OWN: Mapping[str, Callable[[Floats], Floats]] = MappingProxyType(
    {"log": np.exp, "logit": expit, "": np.asarray}
)
_SLOPES: Mapping[str, Callable[[Floats], Floats]] = MappingProxyType(
    {"log": lambda x: x, "logit": lambda x: x * (1 - x), "": np.ones_like}
)
_LABEL = re.compile(r"(?P<base>.*?)(?P<index>\[.*\])?", re.DOTALL)
_POINTS = 240


@dataclass(frozen=True, slots=True)
class Scale:
    """One entry of θ; `parameter` is the label of what it stands for, None where no single function does."""

    entry: str
    parameter: str | None
    transform: str = ""

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.entry if self.parameter is None else self.parameter

    def own(self, values: Floats) -> Floats:
        """Values of the entry as values of the parameter."""
        return _OWN[self.transform](values)

    def normal_mixture(self, weights: Floats, means: Floats, sds: Floats) -> Density:
        """Density of the parameter where the entry is a mixture of normals; K weights, means and sds."""
        wide = sds.max()
        away = np.linspace(-4.5, 4.5, _POINTS)
        # Points where each component is, so that a narrow one beside a wide one keeps its shape.
        t = np.unique(np.concatenate([m + s * away for m, s in zip(means, sds, strict=True)]))
        t = t[np.r_[True, np.diff(t) > 1e-9 * wide]]
        z = (t[:, None] - means) / sds
        heights = (weights / sds * np.exp(-0.5 * z**2)).sum(axis=1) / np.sqrt(2 * np.pi)
        x = self.own(t)
        slope = _SLOPES[self.transform](x)
        kept = np.isfinite(x) & (slope > 0) & np.r_[True, np.diff(x) > 0]
        return Density(x[kept], heights[kept] / slope[kept])


def scales(entries: Sequence[str], parameters: Sequence[str]) -> tuple[Scale, ...]:
    """The scale of every entry, given the labels of all scalar parameters.

    Entries and parameters of one name go together in order, if there are as many of either: a simplex, or
    the offsets of a hierarchical parameter, stay on the unconstrained scale.
    """
    labels = _by_base(parameters)
    positions = _by_base(entries)
    found: dict[str, Scale] = {}
    for base, members in positions.items():
        for suffix, transform in _SUFFIXES.items():
            own = labels.get(base.removesuffix(suffix), []) if base.endswith(suffix) else []
            if own and len(own) == len(members):
                pairs = zip(members, own, strict=True)
                found |= {entry: Scale(entry, label, transform) for entry, label in pairs}
                break
    return tuple(found.get(entry, Scale(entry, None)) for entry in entries)


def _by_base(labels: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        match = _LABEL.fullmatch(label)
        groups[match["base"] if match else label].append(label)
    return groups
