"""One PyMC model of all entities: θ gets an entity dimension, its partial entries a population.

θ_e = μ + L z_e with z_e ~ N(0, I) (non-centred), or θ_e ~ N(μ, LL') (centred), on the unconstrained scale;
L = diag(τ) C with C the Cholesky factor of a correlation matrix (identity unless `full`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.graph.replace import graph_replace, vectorize_graph

from posterity.config import PriorSpec
from posterity.errors import ModelError
from posterity.models.build import BuiltModel
from posterity.models.correlations import cholesky, partial_correlations
from posterity.models.joint_rows import known_at, log_likelihood, rows_of

type Floats = NDArray[np.float64]
type Positions = NDArray[np.int64]

MEAN, SD, RAW, OFFSET, OWN = "population_mean", "population_sd", "population_raw", "offset", "theta"
SHARED, INDEPENDENT = "shared", "independent"


@dataclass(frozen=True)
class Pooling:
    """What varies between entities (`partial`), what does not (`shared`) and what has no population
    (`independent`): positions in θ, D entries together.

    μ has the prior N(mean, sd²), both (D,): the declared prior's moments. `spread` is the prior of τ by
    parameter; by default HalfNormal(sd).
    """

    partial: Positions
    shared: Positions
    independent: Positions
    mean: Floats
    sd: Floats
    spread: Mapping[str, PriorSpec]
    full: bool
    centered: bool


@dataclass(frozen=True)
class JointModel:
    """The joint model of E entities; `names` are the variables whose draws say everything.

    `all_rows` makes the same model of all rows where `model` is of a minibatch.
    """

    built: BuiltModel
    pooling: Pooling
    entities: int
    model: pm.Model
    all_rows: Callable[[], pm.Model] | None = None

    @cached_property
    def whole(self) -> pm.Model:
        """The model of all rows."""
        return self.model if self.all_rows is None else self.all_rows()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Variables to draw."""
        found = (MEAN, SD, RAW, OFFSET, OWN, SHARED, INDEPENDENT)
        return tuple(name for name in found if name in self.model.named_vars)

    def thetas(self, draws: Mapping[str, Floats], chosen: slice) -> Floats:
        """θ (C, S, e, D) of some entities from draws (C, S, ...) of the variables in `names`."""
        p = self.pooling
        size = len(range(self.entities)[chosen])
        leading = next(iter(draws.values())).shape[:2]
        out = np.empty((*leading, size, len(p.mean)))
        if len(p.partial):
            if p.centered:
                out[..., p.partial] = draws[OWN][:, :, chosen]
            else:
                lower, mean = self.lower(draws), draws[MEAN][:, :, None]
                # The same product for every chunk of entities, so that chunks change nothing.
                out[..., p.partial] = mean + draws[OFFSET][:, :, chosen] @ np.swapaxes(lower, -1, -2)
        if len(p.shared):
            out[..., p.shared] = draws[SHARED][:, :, None]
        if len(p.independent):
            out[..., p.independent] = draws[INDEPENDENT][:, :, chosen]
        return out

    def lower(self, draws: Mapping[str, Floats]) -> Floats:
        """Cholesky factors (C, S, p, p) of the spread between entities."""
        sd = draws[SD]
        size = sd.shape[-1]
        if RAW not in draws:
            return sd[..., None] * np.eye(size)
        raw = np.moveaxis(np.tanh(draws[RAW]), -1, 0)
        rows = cholesky(list(raw), size, np)
        unit = np.stack([np.stack(np.broadcast_arrays(*row, sd[..., 0])[:-1], -1) for row in rows], -2)
        return np.asarray(sd[..., None] * unit)


def build_joint(
    built: BuiltModel,
    pooling: Pooling,
    data: Mapping[str, NDArray[Any]],
    entity: NDArray[np.int64],
    entities: int,
    minibatch: int | None = None,
) -> JointModel:
    """The joint model of all rows: `data` are a model's inputs over them, `entity` (n,) numbers their owners.

    With `minibatch` the likelihood is that of so many random rows, scaled to all of them. Raises ModelError
    where the structure cannot be joined.
    """
    if minibatch is not None and built.description.ordered:
        raise ModelError("inference.minibatch: rows with errors: ar1 depend on the row before; leave it out")
    batch = None if minibatch is None or minibatch >= len(entity) else minibatch
    whole = partial(_model, built, pooling, data, entity, entities, None)
    model = whole() if batch is None else _model(built, pooling, data, entity, entities, batch)
    return JointModel(built, pooling, entities, model, None if batch is None else whole)


def _model(
    built: BuiltModel,
    pooling: Pooling,
    data: Mapping[str, NDArray[Any]],
    entity: NDArray[np.int64],
    entities: int,
    batch: int | None,
) -> pm.Model:
    model: pm.Model
    with pm.Model() as model:
        own = _values(built, pooling, entities)
        parameters = _at(built, own, list(built.parameters))
        _declared(built, pooling, own)
        rows, index = rows_of(data, entity, batch)
    known, picks = known_at(built, parameters, rows, index)
    logp = log_likelihood(built, known, picks, rows)
    with model:
        pm.Potential("likelihood", logp.sum() * (1.0 if batch is None else len(entity) / batch))
    return model


def shapes(built: BuiltModel) -> list[tuple[Any, Any, slice, tuple[int, ...]]]:
    """Every free variable with its value variable, its place in θ and its shape."""
    point, start, found = built.model.initial_point(), 0, []
    for value in built.model.value_vars:
        shape = np.shape(point[value.name])
        place = slice(start, start := start + int(np.prod(shape)))
        found.append((built.model.values_to_rvs[value], value, place, shape))
    return found


def _values(built: BuiltModel, pooling: Pooling, entities: int) -> dict[Any, Any]:
    """For every value variable its values: (E, *shape), or (*shape) where it is shared."""
    p = pooling
    blocks: dict[str, Any] = {}
    if len(p.partial):
        blocks["partial"] = _population(built, p, entities)
    if len(p.shared):
        blocks["shared"] = pm.Flat(SHARED, shape=len(p.shared), initval=p.mean[p.shared])
    if len(p.independent):
        begin = np.tile(p.mean[p.independent], (entities, 1))
        blocks["independent"] = pm.Flat(INDEPENDENT, shape=begin.shape, initval=begin)
    found = {}
    for _, value, place, shape in shapes(built):
        kind = next(k for k in ("partial", "shared", "independent") if place.start in getattr(p, k))
        positions = np.searchsorted(getattr(p, kind), np.arange(place.start, place.stop))
        part = blocks[kind][..., int(positions[0]) : int(positions[-1]) + 1]
        leading = () if kind == "shared" else (entities,)
        found[value] = pt.reshape(part, (*leading, *shape)) if shape else part[..., 0]
    return found


def _population(built: BuiltModel, pooling: Pooling, entities: int) -> Any:
    """θ's partial entries (E, p): the population's mean, sds and correlations are created on the way."""
    partial = pooling.partial
    size = len(partial)
    if not np.isfinite(pooling.sd[partial]).all():
        raise ModelError(
            "a parameter with a flat prior cannot have a population: give it a proper prior, such as Normal, "
            "or name it in transfer.pool.independent"
        )
    mean = pm.Normal(MEAN, pooling.mean[partial], pooling.sd[partial], shape=size)
    sd = pm.Deterministic(SD, pt.concatenate(_spreads(built, pooling)))
    lower = None
    if pooling.full and size > 1:
        rows = cholesky(partial_correlations(RAW, size), size, pt)
        lower = sd[:, None] * pt.stack([pt.stack([pt.as_tensor_variable(v) for v in row]) for row in rows])
    if pooling.centered:
        begin = np.tile(pooling.mean[partial], (entities, 1))
        if lower is None:
            return pm.Normal(OWN, mean, sd, shape=(entities, size), initval=begin)
        return pm.MvNormal(OWN, mean, chol=lower, shape=(entities, size), initval=begin)
    z = pm.Normal(OFFSET, 0, 1, shape=(entities, size))
    return mean + (z * sd if lower is None else z @ lower.T)


def _spreads(built: BuiltModel, pooling: Pooling) -> list[Any]:
    """Sds between entities, one vector a variable, in the order of θ."""
    found = []
    for variable, _, place, shape in shapes(built):
        if place.start not in pooling.partial:
            continue
        name, size = f"spread_{variable.name}", int(np.prod(shape))
        spec = pooling.spread.get(built.owners[variable.name])
        if spec is None:
            found.append(pm.HalfNormal(name, pooling.sd[place], shape=size))
        else:
            found.append(getattr(pm, spec.dist)(name, **dict(spec.kwargs), shape=size))
    return found


def _at(built: BuiltModel, values: Mapping[Any, Any], variables: list[Any]) -> list[Any]:
    """Variables of the single model at these values, with an entity dimension in front unless shared."""
    graphs = built.model.replace_rvs_by_values(variables)
    return _vectorized(built, graphs, values)


def _vectorized(built: BuiltModel, graphs: list[Any], values: Mapping[Any, Any]) -> list[Any]:
    numbers = built.description.numbers
    inputs = [d for d in built.model.data_vars if d.name in numbers]
    shaped = {d: numbers[d.name].astype(d.dtype).reshape(-1 if d.ndim else ()) for d in inputs}
    fixed = {d: d.type.filter_variable(pt.constant(value)) for d, value in shaped.items()}
    replaced = graph_replace(graphs, fixed, strict=False)
    return list(vectorize_graph(replaced, dict(values)))


def _declared(built: BuiltModel, pooling: Pooling, values: Mapping[Any, Any]) -> None:
    """Add the declared log priors of shared and independent parameters, on the unconstrained scale."""
    kept = [rv for rv, _, place, _ in shapes(built) if place.start not in pooling.partial]
    if not kept:
        return
    terms: Any = built.model.logp(vars=kept, jacobian=True, sum=False)
    places = {rv: place.start for rv, _, place, _ in shapes(built)}
    total = []
    for rv, term, single in zip(kept, _vectorized(built, terms, values), terms, strict=True):
        if places[rv] in pooling.shared and term.ndim > single.ndim:
            raise ModelError(
                f"{built.owners[rv.name]} is shared by all entities, but its prior refers to a parameter "
                "that is not; share that too, or write numbers"
            )
        total.append(term.sum())
    pm.Potential("declared", pt.sum(pt.stack(total)))
