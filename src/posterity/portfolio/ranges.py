"""The range over which a smooth function's basis is made, fixed once, and what lies beyond its edge.

The same weights on a basis over another range are another function, so the range stands in the configuration
that a result keeps, and all that comes of the result has it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from posterity.config import Config, PriorSpec, to_dict, with_overrides
from posterity.config.smooths import RULES, Smooth, declared, names_of, number, written
from posterity.errors import ConfigError
from posterity.models import Description, describe
from posterity.models.arrays import beyond_edges, scaled
from posterity.panel import Panel
from posterity.panel.checks import beyond
from posterity.panel.findings import plural
from posterity.portfolio.structure import Fixed, spelt_range

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 6
"""Significant digits of a range relative to its width, which is rounded outwards: people read it."""


def waiting(config: Config) -> list[str]:
    """Quantities whose smooth has no range, or parameters without priors."""
    return [
        name
        for name, smooth in config.model.smooths.items()
        if not smooth.fixed or set(names_of(name)) - set(config.model.parameters)
    ]


def doubts(config: Config, table: "pd.DataFrame") -> list[str]:
    """A sentence for every smooth that predictions ask beyond its range, where the edge of the basis makes
    its bands too narrow. `table` has the smooths' columns as in the panel.
    """
    scales, said = describe(config).scales, []
    for name, smooth in config.model.smooths.items():
        if smooth.low is None or smooth.high is None:
            continue
        column = table[smooth.column].to_numpy()
        dated = column.dtype.kind == "M"
        values = column.astype("datetime64[us]").astype(np.float64) / 86_400e6 if dated else column
        values = scaled(values, scales.get(smooth.column))
        if count := int(((values < smooth.low) | (values > smooth.high)).sum()):
            said.append(
                f"{plural(count, 'row lies', 'rows lie')} outside the range of {name}, {smooth.low:g} to "
                f"{smooth.high:g} in {smooth.column!r}, where its bands are too narrow; write low= and high= "
                "of all that will be asked, and fit anew"
            )
    return said


def fixed(config: Config, panel: Panel, known: Sequence[tuple[str, Fixed]]) -> Config:
    """The configuration with a range in every smooth, and with its parameters declared.

    Ranges are those of `known`, by name what this configuration goes on from or learns from, else those of
    the column over all rows of entities that can be fitted. Raises ConfigError where they disagree.
    """
    names = waiting(config)
    if not names:
        _resolved(config)
        return config
    description = describe(config)
    found = dict(config.model.smooths)
    for name in names:
        if not found[name].fixed:
            found[name] = _agreed(name, found[name], known) or _over(panel, description, name, found[name])
    model = to_dict(config)["model"]
    for name, smooth in found.items():
        model["quantities"][name]["expression"] = written(model["quantities"][name]["expression"], smooth)
    done = declared(model, found)
    overrides = {f"model.{key}": done[key] for key in ("quantities", "parameters", "coords")}
    finished = with_overrides(config, overrides)
    _resolved(finished)
    return finished


def within(panel: Panel, description: Description) -> Panel:
    """The panel with a reason for every entity with rows beyond the edge of a smooth."""
    for name, smooth in description.smooths.items():
        if smooth.fixed:
            values = scaled(panel.arrays[smooth.column], description.scales.get(smooth.column))
            outside, sentence = beyond_edges(name, smooth, values)
            panel = beyond(panel, outside, sentence, panel.arrays[smooth.column])
    return panel


def _resolved(config: Config) -> None:
    """Raise ConfigError where a basis is too coarse or too narrow for the usual length scale of its prior."""
    problems = []
    for name, smooth in config.model.smooths.items():
        place = f"model.parameters.{names_of(name)[1]}"
        usual = _median(config.model.parameters[names_of(name)[1]])
        wide, dense = RULES[smooth.kernel]
        if usual is None:
            continue
        if usual < smooth.shortest * (1 - 1e-3):
            needed = int(np.ceil(dense * smooth.c * smooth.half / usual))
            problems.append(
                f"{place}: half of this prior lies below {usual:.4g}, and {smooth} resolves no length "
                f"scale shorter than {smooth.shortest:.4g}; write m={needed}, or a prior of longer ones"
            )
        elif usual > smooth.longest * (1 + 1e-3):
            problems.append(
                f"{place}: half of this prior lies above {usual:.4g}, and the edge of {smooth} is felt from "
                f"{smooth.longest:.4g} on; write c={wide * usual / smooth.half:.2g}, or a prior of shorter "
                "ones"
            )
    if problems:
        raise ConfigError(problems)


def _median(prior: PriorSpec) -> float | None:
    """The median of a prior of a length, of the usual families with numbers."""
    values = {name: float(v) for name, v in prior.kwargs.items() if isinstance(v, int | float)}
    match (prior.dist, values):
        case ("LogNormal", {"mu": mu}):
            return float(np.exp(mu))
        case ("HalfNormal", {"sigma": sigma}):
            return 0.6745 * sigma
        case ("Exponential", {"scale": scale}):
            return float(np.log(2) * scale)
        case ("InverseGamma", {"alpha": alpha, "beta": beta}):
            return float(beta / special.gammaincinv(alpha, 0.5))
        case ("Gamma", {"alpha": alpha, "beta": beta}):
            return float(special.gammaincinv(alpha, 0.5) / beta)
    return None


def _over(panel: Panel, description: Description, name: str, smooth: Smooth) -> Smooth:
    """The smooth over the range of its column."""
    fit = [entity not in panel.reasons for entity in panel.entities]
    values: NDArray[Any] = panel.arrays[smooth.column]
    values = values[np.repeat(fit, panel.counts)] if any(fit) else values
    values = scaled(values[np.isfinite(values)], description.scales.get(smooth.column))
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    low, high = (low if smooth.low is None else smooth.low), (high if smooth.high is None else smooth.high)
    if not low < high:
        problem = (
            f"model.quantities.{name}: {smooth} has the range from {number(low)} to {number(high)} in this "
            "panel, which holds no function; write low= and high="
        )
        raise ConfigError([problem])
    unit = 10.0 ** (np.floor(np.log10(high - low)) - DIGITS + 1)
    if smooth.low is None and low % 1:
        low = float(f"{np.floor(low / unit) * unit:.12g}")
    if smooth.high is None and high % 1:
        high = float(f"{np.ceil(high / unit) * unit:.12g}")
    return smooth.over(low, high)


def _agreed(name: str, own: Smooth, known: Sequence[tuple[str, Fixed]]) -> Smooth | None:
    """The smooth over the range that others have for the quantity; None where nobody has one."""
    found = [(who, theirs.ranges[name]) for who, theirs in known if name in theirs.ranges]
    if not found:
        return None
    (who, first), *others = found
    for other, numbers in others:
        if numbers != first:
            problem = (
                f"model.quantities.{name}: {who} has it over {spelt_range(first)} and {other} over "
                f"{spelt_range(numbers)}; priors of both cannot mean the same function. Learn from one, or "
                "write low= and high="
            )
            raise ConfigError([problem])
    if any(mine not in (None, theirs) for mine, theirs in zip((own.low, own.high), first, strict=True)):
        return None
    return own.over(*first)
