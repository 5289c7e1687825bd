"""One structure, compiled once: densities, parameters and predictions as functions of plain arrays.

Everything that differs between entities (data columns, their length, the numbers inside the priors) is an
argument. θ is the vector of a model's unknowns on the unconstrained scale, in the order of PyMC's value
variables.
"""

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.initial_point import make_initial_point_expression
from pymc.pytensorf import collect_default_updates, reseed_rngs
from pytensor.compile.mode import get_mode
from pytensor.graph.replace import graph_replace, vectorize_graph
from pytensor.graph.traversal import graph_inputs
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.type_other import NoneTypeT

import posterity.inference.trigamma  # noqa: F401  (teaches numba the function)
from posterity.models import BuiltModel, Description, build
from posterity.models.build import TARGET
from posterity.models.priors import PREFIX

type Floats = NDArray[np.float64]
type Inputs = tuple[NDArray[Any], ...]

# trust_input: the callers below pass arrays of the right type; checking them costs more than evaluating small
# models.
NUMBA = {"mode": "NUMBA", "trust_input": True}
# Over whole arrays of draws NumPy's own loops are as fast as numba's, and its generators many times faster;
# this mode runs them as they are, so there is nothing to compile either (others would call g++).
# Without the rewrites that join a sum or product into one node, which Python runs only up to 32 terms.
_LONG = ("local_add_canonizer", "local_mul_canonizer", "local_add_mul_fusion", "fusion")
VECTORS = {"mode": get_mode("FAST_COMPILE").excluding(*_LONG), "trust_input": True}

CELLS = 4_000_000
"""Draws × rows that one evaluation of many densities may hold: 32 MB an intermediate result."""

PRIORS = 256
"""Priors whose starts are remembered; entities with priors of their own would fill the memory otherwise."""

compilations = 0
"""How many functions this process has compiled; a test holds it constant in the number of entities."""


def _compile(inputs: Sequence[Any], outputs: Any, **options: Any) -> Any:
    global compilations
    compilations += 1
    # pm.compile leaves the parameter checks out, which would raise where a line search overshoots.
    return pm.compile(list(inputs), outputs, **options)


@dataclass(frozen=True)
class CompiledModel:
    """The functions of one structure; each is compiled when first used.

    S is a number of draws, D the dimension of θ, P the number of scalar parameters, n the number of rows.
    """

    built: BuiltModel

    @property
    def description(self) -> Description:
        """What was built."""
        return self.built.description

    @cached_property
    def input_names(self) -> tuple[str, ...]:
        """Names of the arrays that make up `Inputs`, in order."""
        return tuple(variable.name for variable in self._inputs)

    @cached_property
    def dimension(self) -> int:
        """D, the number of entries of θ."""
        return sum(int(np.prod(shape)) for shape in self._shapes)

    @cached_property
    def unconstrained_names(self) -> tuple[str, ...]:
        """Label of every entry of θ, PyMC's names: `lambda_val_log__`, `theta[3]`."""
        values = self.built.model.value_vars
        axes = [[range(length) for length in shape] for shape in self._shapes]
        return tuple(label for v, axis in zip(values, axes, strict=True) for label in labels(v.name, axis))

    @cached_property
    def parameter_names(self) -> tuple[str, ...]:
        """Label of every scalar parameter as the user named it."""
        model, levels = self.built.model, self.description.levels
        axes = [[levels[d] for d in model.named_vars_to_dims.get(p.name, ())] for p in self.built.parameters]
        return tuple(
            x for p, axis in zip(self.built.parameters, axes, strict=True) for x in labels(p.name, axis)
        )

    def evaluate(self, theta: Floats, inputs: Inputs) -> tuple[Floats, Floats, Floats]:
        """Minus the log density at θ (D,), its gradient (D,) and its Hessian (D, D)."""
        return self._evaluate(theta, *inputs)  # type: ignore[no-any-return]

    def densities(self, thetas: Floats, inputs: Inputs) -> Floats:
        """Log density at each row of θ (S, D): shape (S,)."""
        at_once = max(1, CELLS // max(1, inputs[self.input_names.index(TARGET)].size))
        if len(thetas) <= at_once:
            return self._densities(thetas, *inputs)  # type: ignore[no-any-return]
        parts = [self._densities(thetas[i : i + at_once], *inputs) for i in range(0, len(thetas), at_once)]
        return np.concatenate(parts)

    def parameters(self, thetas: Floats, inputs: Inputs) -> Floats:
        """Parameters on their own scale for each row of θ (S, D): shape (S, P)."""
        size = len(thetas)
        return np.concatenate([part.reshape(size, -1) for part in self._parameters(thetas, *inputs)], axis=1)

    def predict(
        self, parameters: Floats, inputs: Inputs, rng: np.random.Generator
    ) -> tuple[Floats, Floats | None]:
        """Draws of the target (S, n) and, where the family has a known mean, of its expectation (S, n).

        `parameters` (S, P) are on their own scale, as stored in a result.
        """
        function, rngs = self._predict
        reseed_rngs(rngs, int(rng.integers(2**62)))
        observed, *expected = function(parameters, *inputs)
        return observed, expected[0] if expected else None

    def starts(self, inputs: Inputs, seed: int, draws: int) -> Floats:
        """The prior's centre and `draws` draws from the prior on the unconstrained scale: (1 + draws, D).

        Flat priors have nothing to draw from; they give their centre. Entities with the same prior share
        their starts, which are computed once.
        """
        prior = (a.tobytes() for a, n in zip(inputs, self.input_names, strict=True) if n.startswith(PREFIX))
        key = (seed, draws, *prior)
        if key not in self._starts:
            if len(self._starts) >= PRIORS:
                self._starts.clear()
            draw, rngs = self._prior_draw
            reseed_rngs(rngs, seed)
            self._starts[key] = np.stack([self._centre(*inputs), *(draw(*inputs) for _ in range(draws))])
        return self._starts[key]

    @cached_property
    def _starts(self) -> dict[Any, Floats]:
        return {}

    @cached_property
    def sampler(self) -> Any:
        """nutpie's compiled form of the same density over one flat θ, data and prior numbers swapped by
        `with_data`.
        """
        shared = [
            pytensor.shared(i.type.filter(_placeholder(i)), name=i.name, shape=i.type.shape)
            for i in self._inputs
        ]
        with pm.Model() as flat:
            theta = pm.Flat("theta", shape=self.dimension)
            replaced = graph_replace(
                self._density,
                {self._theta: theta, **dict(zip(self._symbols, shared, strict=True))},
                strict=False,
            )
            pm.Potential("density", replaced)
        global compilations
        compilations += 1
        return nutpie.compile_pymc_model(flat)

    @cached_property
    def sampler_inputs(self) -> tuple[str, ...]:
        """Names of the inputs that the density really uses; nutpie knows no others."""
        return tuple(variable.name for variable in self.sampler.shared_var_keys)

    # The graph: model variables replaced by one flat θ and explicit inputs.

    @cached_property
    def _inputs(self) -> list[Any]:
        return list(self.built.model.data_vars)

    @cached_property
    def _symbols(self) -> list[Any]:
        return [data.type.clone(shape=(None,) * data.type.ndim)(name=data.name) for data in self._inputs]

    @cached_property
    def _theta(self) -> Any:
        return pt.vector("theta", shape=(self.dimension,), dtype="float64")

    @cached_property
    def _thetas(self) -> Any:
        return pt.matrix("thetas", shape=(None, self.dimension), dtype="float64")

    @cached_property
    def _shapes(self) -> list[tuple[int, ...]]:
        point = self.built.model.initial_point()
        return [np.shape(point[v.name]) for v in self.built.model.value_vars]

    def _flat(self, variables: Sequence[Any]) -> Any:
        return pt.concatenate([pt.flatten(pt.as_tensor_variable(v)) for v in variables])

    def _replace(self, graph: Any) -> Any:
        """The graph with θ's slices for the value variables and symbols for the data."""
        model, values, start = self.built.model, {}, 0
        for value, shape in zip(model.value_vars, self._shapes, strict=True):
            size = int(np.prod(shape))
            part = self._theta[start : start + size].reshape(shape) if shape else self._theta[start]
            values[value], start = part.astype(value.dtype), start + size
        replacements = {**values, **dict(zip(self._inputs, self._symbols, strict=True))}
        return graph_replace(graph, replacements, strict=False)

    @cached_property
    def _density(self) -> Any:
        return self._replace(self.built.model.logp(jacobian=True))

    @cached_property
    def _evaluate(self) -> Any:
        gradient: Any = pytensor.grad(self._density, self._theta)
        hessian = pytensor.gradient.jacobian(gradient, self._theta, vectorize=True)
        return _compile(
            [self._theta, *self._symbols],
            [-self._density, -gradient, -hessian],
            on_unused_input="ignore",
            **NUMBA,
        )

    @cached_property
    def _densities(self) -> Any:
        batched = vectorize_graph(self._density, {self._theta: self._thetas})
        return _compile([self._thetas, *self._symbols], batched, on_unused_input="ignore", **NUMBA)

    @cached_property
    def _parameters(self) -> Any:
        parameters = self._replace(self.built.model.replace_rvs_by_values(list(self.built.parameters)))
        batched = vectorize_graph(parameters, {self._theta: self._thetas})
        return _compile([self._thetas, *self._symbols], batched, on_unused_input="ignore", **VECTORS)

    @cached_property
    def _predict(self) -> tuple[Any, list[Any]]:
        built, draws = (
            self.built,
            pt.matrix("parameters", shape=(None, len(self.parameter_names)), dtype="float64"),
        )
        observed = _spread(built.observed)
        outputs = [observed] if built.expected is None else [observed, built.expected]
        symbols = dict(zip(self._inputs, self._symbols, strict=True))
        # The graph is cut at the parameters a user knows, so that what they are made of (offsets) need not be
        # stored.
        cuts = {p: p.clone(name=p.name) for p in built.parameters}
        outputs = graph_replace(outputs, {**symbols, **cuts}, strict=False)
        outputs = [pt.broadcast_to(o, (self._symbol(TARGET).shape[0],)) for o in outputs]
        batches, start = {}, 0
        for parameter, stop in zip(built.parameters, np.cumsum(self._sizes), strict=True):
            shape = self._lengths(parameter)
            part = draws[:, start:stop].reshape((draws.shape[0], *shape)) if shape else draws[:, start]
            batches[cuts[parameter]], start = part, int(stop)
        batched = vectorize_graph(outputs, batches)
        rngs = list(collect_default_updates(batched))
        return _compile([draws, *self._symbols], batched, on_unused_input="ignore", **VECTORS), rngs

    @cached_property
    def _sizes(self) -> list[int]:
        return [int(np.prod(self._lengths(p))) for p in self.built.parameters]

    def _lengths(self, parameter: Any) -> tuple[int, ...]:
        dims = self.built.model.named_vars_to_dims.get(parameter.name, ())
        return tuple(len(self.description.levels[d]) for d in dims)

    def _symbol(self, name: str) -> Any:
        return self._symbols[self.input_names.index(name)]

    @cached_property
    def _centre(self) -> Any:
        return self._initial("support_point")[0]

    @cached_property
    def _prior_draw(self) -> tuple[Any, list[Any]]:
        return self._initial("prior")

    def _initial(self, strategy: str) -> tuple[Any, list[Any]]:
        model = self.built.model
        flat: Any = {
            rv: "support_point"
            for rv in model.free_RVs
            if type(rv.owner.op).__name__ in ("FlatRV", "HalfFlatRV")
        }
        point = make_initial_point_expression(
            free_rvs=model.free_RVs,
            rvs_to_transforms=model.rvs_to_transforms,
            initval_strategies=flat,
            default_strategy=strategy,
            return_transformed=True,
        )
        graph = self._flat(point)
        # PyMC builds this on clones of the data, which only their names tell.
        symbols = dict(zip(self.input_names, self._symbols, strict=True))
        data = {v: symbols[v.name] for v in graph_inputs([graph]) if v.name in symbols}
        graph = graph_replace(graph, data, strict=False)
        return (
            _compile(self._symbols, graph, on_unused_input="ignore", mode="FAST_COMPILE"),
            list(collect_default_updates([graph])),
        )


def labels(name: str, axes: Sequence[Sequence[Any]]) -> list[str]:
    """`name` for a scalar, `name[level]` or `name[level, level]` for the entries of an array, in
    row-major order.
    """
    if not axes:
        return [name]
    return [f"{name}[{', '.join(map(str, entry))}]" for entry in itertools.product(*axes)]


def _spread(variable: Any) -> Any:
    """The same random variable with its size written into its arguments.

    `vectorize_graph` (PyTensor 3.3) extends a size by looking at the first argument only, which fails where
    that one is a constant, as in StudentT(nu=4, mu, sigma).
    """
    node = variable.owner
    if not isinstance(node.op, RandomVariable):
        return variable
    size, arguments = node.op.size_param(node), node.op.dist_params(node)
    if isinstance(size.type, NoneTypeT):
        return variable
    return node.op.make_node(node.inputs[0], None, *(pt.broadcast_to(a, size) for a in arguments)).outputs[1]


def _placeholder(variable: Any) -> NDArray[Any]:
    return np.asarray(variable.get_value())


_local = threading.local()


def compiled(description: Description) -> CompiledModel:
    """The compiled model of a description: one per structure, process and thread (its functions share
    buffers).
    """
    cache: dict[str, CompiledModel] = _local.__dict__.setdefault("models", {})
    if description.key not in cache:
        cache[description.key] = CompiledModel(build(description))
    return cache[description.key]


def inputs_of(model: CompiledModel, arrays: Mapping[str, NDArray[Any]]) -> Inputs:
    """Arrays by name in the order that the compiled functions take them, with their types."""
    return tuple(
        np.ascontiguousarray(arrays[v.name], dtype=v.dtype).reshape(-1 if v.ndim else ())
        for v in model.built.model.data_vars
    )
