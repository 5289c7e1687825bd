"""The trained configuration: an entity's posterior as the priors of a configuration, and as a prior file.

Every parameter, the noise scale inside the likelihood included, gets a readable prior that describes its
posterior (`posterity.portfolio.readable`); vectors keep their entries. What these independent priors cannot
say, the correlation above all, is in the joint prior: a Gaussian mixture fitted to the same draws on the
unconstrained scale of the trained model, which the configuration names and a fit uses in their place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from posterity.config import Config, PriorSpec, from_dict, to_dict, to_yaml
from posterity.errors import ResultError
from posterity.inference.graph import labels
from posterity.inference.mixture import Mixture
from posterity.inference.posterior import Floats
from posterity.lineage.hashing import digest
from posterity.models import Description, build, describe
from posterity.portfolio import prior_file
from posterity.portfolio.labels import Variable, variables
from posterity.portfolio.prior import Marginal, Prior, Provenance, Window
from posterity.portfolio.readable import INVERSES, readable
from posterity.portfolio.result import Result
from posterity.portfolio.store import atomic
from posterity.portfolio.structure import Structure

ENOUGH = 10
"""Draws for each number of a component that its mixture needs; AIC takes too many components of fewer."""
_KEYS = ("entity", "chain", "draw")


@dataclass(frozen=True, eq=False)
class Exported:
    """A trained configuration: `plain` with independent priors alone, and the joint `prior` beside it, under
    the same `limits` (robust, max_prior_rows) as priors had in the configuration that was trained.
    """

    plain: Config
    prior: Prior
    notes: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def config(self) -> Config:
        """The configuration whose entities all learn from the prior file `trained.prior.yaml`."""
        return from_dict(self.naming("trained.prior.yaml"))

    def naming(self, file: str) -> dict[str, Any]:
        """The configuration in plain values, its joint prior in `file`."""
        values = to_dict(self.plain)
        values["transfer"] = {"rules": [{"learn": "*", "from": {"file": file}}], **self.limits}
        return values

    def write(self, path: str | Path) -> tuple[Path, Path]:
        """Write the configuration to `path` and the joint prior beside it (`x.yaml`, `x.prior.yaml`).

        The configuration names the prior by the path given here, so that both are found from the folder in
        which this was called, as `data.source` is.
        """
        target = Path(path)
        beside = target.with_name(f"{target.stem}.prior.yaml")
        text = "".join(f"# {note}\n" for note in self.notes)
        text += to_yaml(from_dict(self.naming(beside.as_posix())))
        prior_file.save(self.prior, beside)
        with atomic(target) as file:
            file.write(text.encode())
        return target, beside


def export(result: Result, entity: str) -> Exported:
    """The trained configuration of one entity of a result.

    Raises ResultError for an unknown entity, or one without draws (failed), with the reason.
    """
    columns = _draws(result, entity)
    config = result.config
    found = {v.name: v for v in variables(list(columns), _dims(config))}
    trained, notes = {}, []
    for name, spec in describe(config).priors.items():
        trained[name], more = _trained(name, spec, found[name], columns)
        notes += more
    plain = _with_priors(config, trained)
    description = _levelled(describe(plain), found)
    entries, thetas = _unconstrained(description, found, columns)
    row = result.entity_row(entity)
    rows = int(row["n_rows"])
    if row["status"] != "ok":
        notes.append(f"the posterior of {entity} is {row['status']}: {row['reason']}")
    prior = Prior(
        source=f"entity: {entity}",
        entries=entries,
        mixture=_mixture(thetas),
        vague=0.0,
        rows=float(rows),
        model=description.key,
        provenance=_provenance(result, entity, row, notes),
        structure=Structure.of(description),
        marginals=_marginals(trained, found, columns),
    )
    return Exported(plain, prior, tuple(" ".join(note.split()) for note in notes), _limits(config))


def _limits(config: Config) -> dict[str, Any]:
    """What a configuration says of how much any transferred prior may count for."""
    if config.transfer is None:
        return {}
    return {"robust": config.transfer.robust, "max_prior_rows": config.transfer.max_prior_rows}


def _draws(result: Result, entity: str) -> dict[str, Floats]:
    """The stored draws of an entity by label, (S,) each, on the parameters' own scale."""
    table = result.entity_table("draws.parquet", entity)
    if table.num_rows == 0:
        row = result.entity_row(entity)
        why = row["reason"] or "none are stored"
        raise ResultError(
            f"{result.path}: {entity[:60]!r} is {row['status']} and has no draws to export: {why}"
        )
    return {
        name: table[name].to_numpy().astype(np.float64) for name in table.column_names if name not in _KEYS
    }


def _dims(config: Config) -> dict[str, tuple[str, ...]]:
    return {name: tuple(spec.dims) for name, spec in config.model.parameters.items()}


def _trained(
    name: str, spec: PriorSpec, variable: Variable, columns: Mapping[str, Floats]
) -> tuple[PriorSpec, list[str]]:
    """The readable prior of a parameter, and what it cannot say."""
    values = variable.gather(columns)
    if values.ndim <= 2:
        return readable(name, spec, values), []
    # Arguments are lists along one dimension only: along the others, entries share what covers all of them.
    moved = np.moveaxis(values, -1, 0).reshape(values.shape[-1], -1).T
    mixed = np.random.default_rng(0).permutation(moved)
    note = (
        f"the readable prior of {name} tells its entries apart along {spec.dims[-1]} only; the joint prior "
        "knows each"
    )
    return readable(name, spec, mixed), [note]


def _with_priors(config: Config, trained: Mapping[str, PriorSpec]) -> Config:
    """The configuration with other priors and no transfer."""
    values = to_dict(config)
    values["transfer"] = None
    parameters, likelihood = values["model"]["parameters"], values["model"].get("likelihood")
    for name, spec in trained.items():
        if name in parameters:
            parameters[name] = spec.to_dict()
        elif isinstance(config.model.observed.get(name), PriorSpec):
            likelihood["kwargs"][name] = spec.to_dict()
        else:
            likelihood["errors"]["ar1"]["rho"] = spec.to_dict()
    return from_dict(values)


def _levelled(description: Description, found: Mapping[str, Variable]) -> Description:
    """The description with the levels of dimensions that are columns, which the panel gave when it was
    fitted.
    """
    levels = dict(description.levels)
    for name, spec in description.priors.items():
        for dim, labels_ in zip(spec.dims, found[name].levels, strict=True):
            levels.setdefault(dim, tuple(labels_))
    return replace(description, levels=dict(sorted(levels.items())))


def _unconstrained(
    description: Description, found: Mapping[str, Variable], columns: Mapping[str, Floats]
) -> tuple[tuple[str, ...], Floats]:
    """Labels of θ in the trained model, and its draws (S, D): PyMC's own transforms of the parameters."""
    import pytensor
    import pytensor.tensor as pt

    model = build(description).model
    names: list[str] = []
    parts: list[Floats] = []
    for variable, value in zip(model.free_RVs, model.value_vars, strict=True):
        owner = variable.name.removesuffix("_raw") if variable.name not in found else variable.name
        own = found[owner].gather(columns)
        inner, transform = _before(description.priors[owner], own), model.rvs_to_transforms[variable]
        if transform is not None:
            symbol = pt.tensor("own", shape=(None, *own.shape[1:]), dtype="float64")
            graph = transform.forward(symbol, *variable.owner.inputs)
            inner = pytensor.function([symbol], graph, mode="FAST_COMPILE")(inner)
        names += labels(value.name, [range(length) for length in own.shape[1:]])
        parts.append(np.asarray(inner).reshape(len(own), -1))
    return tuple(names), np.concatenate(parts, axis=1)


def _before(spec: PriorSpec, own: Floats) -> Floats:
    """Draws of a parameter before its transform."""
    return np.asarray(INVERSES[spec.transform](own)) if spec.transform else own


def _mixture(thetas: Floats) -> Mixture:
    size, dimension = thetas.shape
    numbers = (dimension + 1) * (dimension + 2) // 2
    if (most := min(4, size // (ENOUGH * numbers))) > 1:
        return Mixture.fitted(thetas, most=most)
    covariance = np.cov(thetas, rowvar=False).reshape(dimension, dimension)
    # Of few draws a covariance of full rank, towards independent entries.
    share = 0.0 if size >= ENOUGH * dimension else min(1.0, dimension / size)
    return Mixture.gaussian(
        thetas.mean(axis=0), (1 - share) * covariance + share * np.diag(covariance.diagonal())
    )


def _marginals(
    trained: Mapping[str, PriorSpec], found: Mapping[str, Variable], columns: Mapping[str, Floats]
) -> dict[str, Marginal]:
    """What every scalar parameter looks like, by label."""
    described: dict[str, Marginal] = {}
    for name, spec in trained.items():
        for position, label in enumerate(found[name].columns):
            draws = columns[label]
            p5, p50, p95 = np.quantile(draws, [0.05, 0.5, 0.95])
            entry = position % found[name].shape[-1] if found[name].shape else 0
            kwargs = {k: _short(v[entry] if isinstance(v, tuple) else v) for k, v in spec.kwargs.items()}
            described[label] = Marginal(
                mean=_short(draws.mean()),
                sd=_short(draws.std(ddof=1)),
                p5=_short(p5),
                p50=_short(p50),
                p95=_short(p95),
                family=f"{spec.transform} of {spec.dist}" if spec.transform else spec.dist,
                kwargs=kwargs,
            )
    return described


def _short(number: Any) -> float:
    return float(f"{float(number):.6g}")


def _provenance(result: Result, entity: str, row: Mapping[str, Any], notes: list[str]) -> Provenance:
    return Provenance(
        run=result.manifest.run_key,
        config=digest(result.text("config.yaml")),
        taught_by=(str(row["fit_key"]),),
        entities=(entity,),
        windows=(Window(_time(row.get("first_time")), _time(row.get("last_time")), int(row["n_rows"])),),
        notes=tuple(notes),
    )


def _time(value: Any) -> str | float | None:
    if value is None or isinstance(value, int | float | str):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)
