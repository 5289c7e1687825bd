"""What a configuration leaves to its panel, fixed: numbers by which columns are scaled, ranges of smooth
functions, designs of formulas.

They are written into the configuration that a result keeps, so that whatever comes of it (predictions,
refits, priors for others) means the same parameters, whatever rows come later.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from posterity.config import Config, with_overrides
from posterity.config.scale import STANDARD, Scaling
from posterity.config.transfer import Rule
from posterity.errors import ConfigError, PosterityError
from posterity.models import Description, describe
from posterity.panel import Panel
from posterity.panel.findings import listing
from posterity.portfolio import ranges
from posterity.portfolio.designed import designed
from posterity.portfolio.designed import waiting as designed_later
from posterity.portfolio.newest import located
from posterity.portfolio.past import latest
from posterity.portfolio.result import open_result
from posterity.portfolio.structure import Fixed, Scales, spelt

DIGITS = 6
"""Significant digits of an sd, and of a centre relative to it: people read these numbers."""


def fixed(config: Config, panel: Panel, before: Iterable[Config] = ()) -> Config:
    """The configuration with numbers for every column that is scaled by the word `standard`, a range and
    parameters for every smooth function, and a design for every formula.

    They are those of `before`, configurations that this one goes on from, else those of the priors and
    results that its transfer rules name, else those of the panel's rows. Raises ConfigError where these
    disagree, and for columns that cannot be scaled.
    """
    before = tuple(before)
    known: list[tuple[str, Fixed]] = [(c.name, describe(c)) for c in before]
    if not known and waiting(config):
        known = list(_sources(config))
    scaled = _scaled(config, panel, known)
    return designed(ranges.fixed(scaled, panel, known), panel, before)


def _scaled(config: Config, panel: Panel, known: Sequence[tuple[str, Fixed]]) -> Config:
    """Columns scaled as those who are known scale them, else by mean and sd over the panel's rows."""
    if not config.data.scale:
        return config
    _check(config, panel, describe(config))
    names = _unscaled(config)
    if not names:
        return config
    scales = [(who, theirs.scales) for who, theirs in known]
    numbers = {name: _agreed(name, scales) or standard(panel, name) for name in names}
    values = {name: {"centre": centre, "sd": sd} for name, (centre, sd) in numbers.items()}
    given = {n: s.model_dump() for n, s in config.data.scale.items() if isinstance(s, Scaling)}
    return with_overrides(config, {"data.scale": {n: (values | given)[n] for n in config.data.scale}})


def waiting(config: Config) -> bool:
    """Whether the configuration leaves anything to its panel."""
    return bool(_unscaled(config) or ranges.waiting(config) or designed_later(config))


def _unscaled(config: Config) -> list[str]:
    """Columns that are scaled and have no numbers yet."""
    return [name for name, scale in config.data.scale.items() if scale == STANDARD]


def standard(panel: Panel, name: str) -> tuple[float, float]:
    """Mean and sd of a column over all rows of the entities that can be fitted.

    Raises ConfigError for a column with one value.
    """
    fit = [entity not in panel.reasons for entity in panel.entities]
    values = panel.arrays[name][np.repeat(fit, panel.counts)] if any(fit) else panel.arrays[name]
    values = values[np.isfinite(values)]
    sd = float(values.std()) if len(values) else 0.0
    if not (sd > 0 and math.isfinite(sd)):
        value = f"{values[0]:g}" if len(values) else "missing"
        raise ConfigError(
            [f"data.scale.{name}: the column is {value} in every row, so it has no scale; leave it out"]
        )
    sd = float(f"{sd:.{DIGITS}g}")
    return round(float(values.mean()), DIGITS - 1 - math.floor(math.log10(sd))), sd


def _check(config: Config, panel: Panel, description: Description) -> None:
    read = (*description.inputs, *description.regressors, description.target)
    problems = [
        f"data.scale.{name}: the model reads no such column as numbers; it reads {listing(read)}"
        for name in config.data.scale
        if name not in read
    ]
    problems += [
        f"data.scale.{name}: the column holds text; columns of numbers are scaled"
        for name in config.data.scale
        if name in read and panel.arrays[name].dtype == object
    ]
    if problems:
        raise ConfigError(problems)


def _agreed(name: str, known: Iterable[tuple[str, Scales]]) -> tuple[float, float] | None:
    """The numbers of a column that others use; None where nobody scales it."""
    found = [(who, scales[name]) for who, scales in known if name in scales]
    if not found:
        return None
    (who, first), *others = found
    for other, numbers in others:
        if numbers != first:
            problem = (
                f"data.scale.{name}: standard, but {who} has {spelt(first)} and {other} {spelt(numbers)}; "
                "priors of both cannot mean the same parameters. Learn from one of them, or write the "
                "numbers here"
            )
            raise ConfigError([problem])
    return first


def _sources(config: Config) -> Iterable[tuple[str, Fixed]]:
    """What the priors and results that the transfer rules name have fixed; what cannot be opened is told
    later.
    """
    for rule in config.transfer.rules if config.transfer is not None else ():
        if rule.kind in ("file", "portfolio", "previous"):
            try:
                found = _source(rule, config)
            except PosterityError:
                continue
            if found is not None:
                yield f"{rule.kind} {rule.name or config.name}", found


def _source(rule: Rule, config: Config) -> Fixed | None:
    if rule.kind == "file":
        from posterity.portfolio import prior_file

        return prior_file.load(str(rule.name)).structure
    return describe((latest(config.name) if rule.name is None else open_result(located(rule.name))).config)
