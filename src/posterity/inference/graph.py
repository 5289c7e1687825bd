"""The graph of a structure: PyMC's variables replaced by one flat θ and by explicit inputs.

Nothing is compiled here.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.initial_point import make_initial_point_expression
from pytensor.graph.replace import graph_replace, vectorize_graph
from pytensor.graph.traversal import graph_inputs
from pytensor.tensor.random.basic import CategoricalRV

from posterity.inference.spreading import spread
from posterity.models import BuiltModel, history
from posterity.models.build import TARGET
from posterity.models.mixtures import LogMixture, LogMixtureExpansion, MixtureInputs


@dataclass(frozen=True)
class Graph:
    """Symbolic densities, parameters and predictions of one structure.

    `theta` is (D,), `thetas` (S, D). Where parameters are transferred the log density is that of the data,
    plus the declared log prior of the other parameters, plus the log mixture of θ's transferred entries.
    """

    built: BuiltModel

    @cached_property
    def symbols(self) -> tuple[Any, ...]:
        """Every input in order: data and numbers of declared priors, then the mixture if there is one."""
        return (*self._data.values(), *(self.mixture.symbols if self.mixture else ()))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(symbol.name for symbol in self.symbols)

    @cached_property
    def mixture(self) -> MixtureInputs | None:
        """The mixture's inputs; None where every prior is the declared one."""
        return MixtureInputs.over(len(self.transferred)) if len(self.transferred) else None

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of every value variable, in the order in which they make up θ."""
        point = self.built.model.initial_point()
        return tuple(np.shape(point[v.name]) for v in self.built.model.value_vars)

    @cached_property
    def owners(self) -> tuple[str, ...]:
        """For every entry of θ the parameter whose prior created it."""
        variables = (self.built.model.values_to_rvs[v].name for v in self.built.model.value_vars)
        return tuple(
            self.built.owners[name]
            for name, shape in zip(variables, self.shapes, strict=True)
            for _ in range(int(np.prod(shape)))
        )

    @cached_property
    def transferred(self) -> NDArray[np.int64]:
        """Positions in θ of the entries that the mixture is about."""
        chosen = set(self.built.description.transferred)
        return np.array([i for i, owner in enumerate(self.owners) if owner in chosen], dtype=np.int64)

    @cached_property
    def theta(self) -> Any:
        """One point."""
        return pt.vector("theta", shape=(len(self.owners),), dtype="float64")

    @cached_property
    def thetas(self) -> Any:
        """Many points."""
        return pt.matrix("thetas", shape=(None, len(self.owners)), dtype="float64")

    @cached_property
    def expansion(self) -> tuple[Any, Any, Any]:
        """Log density at `theta`, its gradient and its Hessian."""
        gradient: Any = pytensor.grad(self._declared, self.theta)
        hessian = pytensor.gradient.jacobian(gradient, self.theta, vectorize=True)
        if not self.mixture:
            return self._declared, gradient, hessian
        value, slope, curvature = self._expanded
        return self._declared + value, gradient + slope, hessian + curvature

    @cached_property
    def slope(self) -> tuple[Any, Any]:
        """Log density at `theta` and its gradient."""
        gradient: Any = pytensor.grad(self._declared, self.theta)
        if not self.mixture:
            return self._declared, gradient
        value, slope, _ = self._expanded
        return self._declared + value, gradient + slope

    @cached_property
    def density(self) -> Any:
        """Log density at `theta` alone, to be differentiated by others."""
        if not self.mixture:
            return self._declared
        return self._declared + self._expanded[0]

    @cached_property
    def densities(self) -> Any:
        """Log density at each of `thetas`."""
        batched: Any = vectorize_graph(self._declared, {self.theta: self.thetas})
        if not self.mixture:
            return batched
        return batched + LogMixture(self._positions)(self.thetas, *self.mixture.symbols)

    def declared(self, names: Sequence[str]) -> Any:
        """Declared log prior of these parameters at each of `thetas`, Jacobians included."""
        variables = [v for v in self.built.model.free_RVs if self.built.owners[v.name] in names]
        graph = self._replace(self.built.model.logp(vars=variables, jacobian=True))
        return vectorize_graph(graph, {self.theta: self.thetas})

    @cached_property
    def parameters(self) -> list[Any]:
        """Parameters on their own scale at each of `thetas`."""
        graph = self._replace(self.built.model.replace_rvs_by_values(list(self.built.parameters)))
        return vectorize_graph(graph, {self.theta: self.thetas})  # type: ignore[no-any-return]

    @cached_property
    def lengths(self) -> tuple[tuple[int, ...], ...]:
        """Shape of every parameter as the user knows it."""
        dims, levels = self.built.model.named_vars_to_dims, self.built.description.levels
        return tuple(tuple(len(levels[d]) for d in dims.get(p.name, ())) for p in self.built.parameters)

    def predictions(self) -> tuple[Any, list[Any]]:
        """A symbol for draws of parameters (S, P), and the target and its expectation at every row given
        those, (S, n) each.
        """
        outputs, cuts = self._predicted
        return self._drawn, vectorize_graph(outputs, self._parts(self._drawn, cuts))

    def classes(self) -> tuple[Any, Any] | None:
        """A symbol for draws of parameters (S, P), and the mean over those of every row's class
        probabilities, (n, K); None where the target is not Categorical.
        """
        node = self.built.observed.owner
        if not isinstance(node.op, CategoricalRV):
            return None
        p: Any = node.op.dist_params(node)[0]
        cuts = {q: q.clone(name=q.name) for q in self.built.parameters}
        (p,) = graph_replace([p], {**self._replaced_data, **cuts}, strict=False)
        p = pt.broadcast_to(p, (self._data[TARGET].shape[0], p.shape[-1]))
        every: Any = vectorize_graph(p, self._parts(self._drawn, cuts))
        return self._drawn, (every / every.sum(axis=-1, keepdims=True)).mean(axis=0)

    def step(self) -> tuple[list[Any], list[Any]]:
        """The same at one row, where each draw remembers rows of its own: inputs in which those of the
        history are (S,), and target and expectation (S, 1).
        """
        outputs, cuts = self._predicted
        own = {name: pt.vector(name) for name in history.inputs(self.built.description.history)}
        batches = {self._data[name]: values[:, None] for name, values in own.items()}
        inputs = [own.get(symbol.name, symbol) for symbol in self.symbols]
        predicted = vectorize_graph(outputs, {**batches, **self._parts(self._drawn, cuts)})
        return [self._drawn, *inputs], predicted

    def following(self) -> tuple[list[Any], list[Any]]:
        """The same at every row where each draw has targets of its own, (S, n): of rows that depend on the
        targets before them.
        """
        outputs, cuts = self._predicted
        targets = pt.matrix(f"{TARGET}s", dtype=self._data[TARGET].type.dtype)
        inputs = [self._drawn, targets, *self.symbols]
        return inputs, vectorize_graph(
            outputs, {self._data[TARGET]: targets, **self._parts(self._drawn, cuts)}
        )

    def quantity(self, name: str) -> tuple[Any, Any]:
        """A symbol for draws of parameters (S, P), and a quantity given those: (S, n), or without rows."""
        cuts = {p: p.clone(name=p.name) for p in self.built.parameters}
        value = self.built.quantities[name]
        (value,) = graph_replace([value], {**self._replaced_data, **cuts}, strict=False)
        (value,) = vectorize_graph([value], self._parts(self._drawn, cuts))
        return self._drawn, value

    @cached_property
    def _predicted(self) -> tuple[list[Any], dict[Any, Any]]:
        """Target and expectation at every row (n,), and what stands in them for each parameter."""
        built = self.built
        observed = spread(built.observed, set(built.model.free_RVs))
        outputs = [observed] if built.expected is None else [observed, built.expected]
        # The graph is cut at the parameters a user knows, so that what they are made of (offsets) need not be
        # stored.
        cuts = {p: p.clone(name=p.name) for p in built.parameters}
        outputs = graph_replace(outputs, {**self._replaced_data, **cuts}, strict=False)
        outputs = [pt.broadcast_to(o, (self._data[TARGET].shape[0],)) for o in outputs]
        return outputs, cuts

    def unconstrained(self) -> tuple[Any, Any] | None:
        """A symbol for draws of parameters (S, P), and θ (S, D) at each of those: `parameters` backwards.

        None where draws of the parameters do not tell all unknowns: non-centred ones keep their offsets to
        themselves.
        """
        built, model = self.built, self.built.model
        if set(model.free_RVs) - set(built.parameters):
            return None
        cuts = {p: p.clone(name=p.name) for p in built.parameters}
        parts = []
        for variable in model.free_RVs:
            transform = model.rvs_to_transforms[variable]
            value = variable if transform is None else transform.forward(variable, *variable.owner.inputs)
            parts.append(pt.flatten(pt.as_tensor_variable(value)).astype("float64"))
        (theta,) = graph_replace([pt.concatenate(parts)], {**self._replaced_data, **cuts}, strict=False)
        return self._drawn, vectorize_graph(theta, self._parts(self._drawn, cuts))

    @cached_property
    def _drawn(self) -> Any:
        """Draws of all scalar parameters, (S, P)."""
        return pt.matrix("parameters", shape=(None, sum(map(_size, self.lengths))), dtype="float64")

    def _parts(self, draws: Any, cuts: Mapping[Any, Any]) -> dict[Any, Any]:
        """For every parameter's stand-in its part of the draws, (S, *shape)."""
        found, start = {}, 0
        for parameter, shape in zip(self.built.parameters, self.lengths, strict=True):
            stop = start + _size(shape)
            part = draws[:, start:stop].reshape((draws.shape[0], *shape)) if shape else draws[:, start]
            found[cuts[parameter]], start = part, stop
        return found

    def initial(self, strategy: str) -> Any:
        """θ drawn from the declared priors (`prior`) or at their centre (`support_point`).

        Flat priors have nothing to draw from; they give their centre.
        """
        model = self.built.model
        point = make_initial_point_expression(
            free_rvs=model.free_RVs,
            rvs_to_transforms=model.rvs_to_transforms,
            initval_strategies=dict.fromkeys(self._flat, "support_point"),
            default_strategy=strategy,
            return_transformed=True,
        )
        graph = pt.concatenate([pt.flatten(pt.as_tensor_variable(v)) for v in point])
        # PyMC builds this on clones of the data, which only their names tell.
        data = {v: self._data[v.name] for v in graph_inputs([graph]) if v.name in self._data}
        return graph_replace(graph, data, strict=False)

    @property
    def improper(self) -> frozenset[str]:
        """Parameters that have no prior to draw from."""
        return frozenset(self.built.owners[variable.name] for variable in self._flat)

    @property
    def _flat(self) -> list[Any]:
        names = ("FlatRV", "HalfFlatRV")
        return [rv for rv in self.built.model.free_RVs if type(rv.owner.op).__name__ in names]

    @cached_property
    def _data(self) -> dict[str, Any]:
        return {
            data.name: data.type.clone(shape=(None,) * data.type.ndim)(name=data.name)
            for data in self.built.model.data_vars
        }

    @cached_property
    def _replaced_data(self) -> dict[Any, Any]:
        return {data: self._data[data.name] for data in self.built.model.data_vars}

    @cached_property
    def _declared(self) -> Any:
        """Log likelihood plus the declared log prior of every parameter that is not transferred."""
        model, transferred = self.built.model, set(self.built.description.transferred)
        if not transferred:
            return self._replace(model.logp(jacobian=True))
        own = [rv for rv in model.free_RVs if self.built.owners[rv.name] not in transferred]
        # Potentials, which weigh the rows, count with the whole model only where they are not named.
        kept = [*own, *model.observed_RVs, *model.potentials]
        return self._replace(model.logp(vars=kept, jacobian=True))

    @cached_property
    def _expanded(self) -> list[Any]:
        """The log mixture at `theta` with its derivatives."""
        assert self.mixture is not None
        return LogMixtureExpansion(self._positions).make_node(self.theta, *self.mixture.symbols).outputs

    @property
    def _positions(self) -> tuple[int, ...]:
        return tuple(self.transferred.tolist())

    def _replace(self, graph: Any) -> Any:
        """The graph with θ's slices for the value variables and symbols for the data."""
        model, values, start = self.built.model, {}, 0
        for value, shape in zip(model.value_vars, self.shapes, strict=True):
            size = int(np.prod(shape))
            part = self.theta[start : start + size].reshape(shape) if shape else self.theta[start]
            values[value], start = part.astype(value.dtype), start + size
        return graph_replace(graph, {**values, **self._replaced_data}, strict=False)


def _size(shape: Sequence[int]) -> int:
    return int(np.prod(shape))


def labels(name: str, axes: Sequence[Sequence[Any]]) -> list[str]:
    """`name` for a scalar, `name[level]` or `name[level, level]` for the entries of an array, in
    row-major order.
    """
    if not axes:
        return [name]
    return [f"{name}[{', '.join(map(str, entry))}]" for entry in itertools.product(*axes)]


def unconstrained_labels(graph: Graph) -> tuple[str, ...]:
    """Label of every entry of θ, PyMC's names: `lambda_val_log__`, `theta[3]`."""
    axes = [[range(length) for length in shape] for shape in graph.shapes]
    values = graph.built.model.value_vars
    return tuple(label for v, axis in zip(values, axes, strict=True) for label in labels(v.name, axis))


def parameter_labels(graph: Graph) -> tuple[str, ...]:
    """Label of every scalar parameter as the user named it."""
    dims: Mapping[str, Any] = graph.built.model.named_vars_to_dims
    levels = graph.built.description.levels
    return tuple(
        label
        for p in graph.built.parameters
        for label in labels(p.name, [levels[d] for d in dims.get(p.name, ())])
    )
