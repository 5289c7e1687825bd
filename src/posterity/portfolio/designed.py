"""Formulas of a configuration given their design: levels, means and knots of the first panel, and a parameter
with a prior for each term.

All of it is written into the configuration that a result keeps, so that other rows make the same columns.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config import Config, PriorSpec, Quantity, from_dict, to_dict
from posterity.config.design import Design
from posterity.config.formula import parse
from posterity.errors import ModelError, PosterityError
from posterity.models import Description, describe
from posterity.models.arrays import scaled
from posterity.models.design import ADVICE, axes, learned, matrix, offset, strangers
from posterity.models.designing import design
from posterity.panel import Panel
from posterity.panel.findings import plural
from posterity.portfolio.default_priors import Defaults
from posterity.portfolio.newest import located
from posterity.portfolio.past import latest
from posterity.portfolio.result import open_result

type Columns = Mapping[str, NDArray[Any]]


def waiting(config: Config) -> list[str]:
    """Quantities whose formulas have no design yet."""
    quantities = config.model.quantities.items()
    return [name for name, q in quantities if q.formula is not None and q.design is None]


def designed(config: Config, panel: Panel, before: Iterable[Config] = ()) -> Config:
    """The configuration with a design for every formula, and its coefficients among the parameters.

    The design is that of `before`, configurations that this one goes on from, or of the results that its
    transfer rules name, where these have the same formula for the same quantity, and so are the priors of
    terms that are given none; else both are learned from the panel's rows. Raises ModelError for columns
    that the formula cannot be made of.
    """
    names = waiting(config)
    if not names:
        return config
    description, values = describe(config), to_dict(config)
    known = [*before, *_sources(config)]
    columns = usable(panel, description)
    for name in names:
        quantity = config.model.quantities[name]
        assert quantity.formula is not None
        earlier = next((c for c in known if _same(c.model.quantities.get(name), quantity)), None)
        if earlier is not None:
            made = learned(name, earlier.model.quantities[name])
            priors = {t.name: earlier.model.parameters[t.parameter].to_dict() for t in made.terms}
        else:
            made = design(name, parse(quantity.formula), columns)
            defaults = Defaults.of(config, description, name, made, columns)
            priors = {t.name: defaults.prior(t) for t in made.terms}
        given = {name: prior.to_dict() for name, prior in quantity.priors.items()}
        _declare(values, name, made, priors | given)
    return from_dict(values)


def _same(earlier: Quantity | None, quantity: Quantity) -> bool:
    return earlier is not None and earlier.formula == quantity.formula and earlier.design is not None


def usable(panel: Panel, description: Description) -> Columns:
    """Columns and target of all rows of the entities that can be fitted, on the scale of the model."""
    fit = np.array([entity not in panel.reasons for entity in panel.entities], dtype=bool)
    chosen = np.repeat(fit, panel.counts) if fit.any() else slice(None)
    scales = description.scales
    names = dict.fromkeys((*description.regressors, description.target))
    return {name: scaled(panel.arrays[name][chosen], scales.get(name)) for name in names}


def with_reasons(config: Config, panel: Panel) -> Panel:
    """The panel with a reason for every entity with rows that its formulas have no columns for: levels that
    they were not fitted with, and values such as the logarithm of 0.
    """
    description = describe(config)
    reasons: dict[str, str] = {}
    for name, quantity in description.formulas.items():
        if quantity.design is None:
            continue
        names = parse(quantity.formula or "").columns
        columns = {c: scaled(panel.arrays[c], description.scales.get(c)) for c in names}
        for fact, advice, mask in _flaws(quantity, quantity.design, columns, panel.n_rows):
            counts = np.add.reduceat(mask.astype(np.int64), panel.offsets[:-1])
            for i in np.flatnonzero(counts):
                entity = panel.entities[i]
                if entity not in panel.reasons and entity not in reasons:
                    reasons[entity] = (
                        f"{fact} in {counts[i]:,} of {plural(int(panel.counts[i]), 'row')} "
                        f"(model.quantities.{name}){advice}"
                    )
    if not reasons:
        return panel
    entity, reason = next(iter(reasons.items()))
    count = plural(len(reasons), "entity", "entities")
    return panel.with_reasons(reasons, [f"{count} cannot be fitted; {entity}: {reason}"])


def told(before: Config, config: Config) -> Iterator[str]:
    """What formulas became, and the priors that they took by default: sentences worth showing."""
    for name in waiting(before):
        quantity, given = config.model.quantities[name], before.model.quantities[name].priors
        assert quantity.design is not None
        terms = quantity.design.terms
        yield f"formula {name}: the coefficients are {_few([t.parameter for t in terms])}"
        priors = {t.parameter: config.model.parameters[t.parameter] for t in terms if t.name not in given}
        if priors:
            words = [f"{parameter} {_spelt(prior)}" for parameter, prior in priors.items()]
            yield f"formula {name}: priors by default, {_few(words)}"


def _few(words: list[str], most: int = 20) -> str:
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")


def _spelt(prior: PriorSpec) -> str:
    values = (f"{v:g}" if not isinstance(v, PriorSpec) else _spelt(v) for v in prior.kwargs.values())
    return f"{prior.dist}({', '.join(values)})"


def _flaws(
    quantity: Quantity, made: Design, columns: Columns, rows: int
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    if quantity.unseen == "error":
        for sentence, mask, _ in strangers(made, columns):
            yield sentence, f"; {ADVICE}", mask
    missing = np.zeros(rows, dtype=bool)
    for values in columns.values():
        missing |= np.array([v is None for v in values]) if values.dtype == object else ~np.isfinite(values)
    for term in made.terms:
        found = matrix(term, made, columns, rows).reshape(rows, -1)
        mask = ~np.isfinite(found).all(axis=1) & ~missing
        if mask.any():
            yield f"the term {term.name} has no value", "", mask
    if made.offsets and (mask := ~np.isfinite(offset(made, columns, rows)) & ~missing).any():
        yield "the offset has no value", "", mask


def _declare(values: dict[str, Any], name: str, made: Design, priors: Mapping[str, dict[str, Any]]) -> None:
    """Add the coefficients of a formula to plain values of a configuration."""
    model = values["model"]
    kept = {key: value for key, value in model["quantities"][name].items() if key != "priors"}
    model["quantities"][name] = {**kept, "design": made.model_dump(exclude_defaults=True)}
    for term in made.terms:
        prior = {key: value for key, value in priors[term.name].items() if key != "dims"}
        dims = [f"{term.parameter}_{word}" for word in (("groups", "entries") if term.by else ("entries",))]
        labels = axes(term, made)
        if labels:
            prior["dims"] = dims[: len(labels)]
        if term.parameter in model["parameters"]:
            raise ModelError(
                f"model.parameters.{term.parameter}: the term {term.name} of the formula {name!r} has a "
                "parameter of that name; give this one another"
            )
        model["parameters"][term.parameter] = prior
        model["coords"] |= dict(zip(dims, map(list, labels), strict=False))


def _sources(config: Config) -> Iterator[Config]:
    """Configurations of the results that the transfer rules name; what cannot be opened is told later."""
    for rule in config.transfer.rules if config.transfer is not None else ():
        if rule.kind in ("portfolio", "previous"):
            try:
                yield (latest(config.name) if rule.name is None else open_result(located(rule.name))).config
            except PosterityError:
                continue
