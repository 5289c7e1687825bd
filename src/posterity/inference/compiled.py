"""One structure, compiled once: densities, parameters and predictions as functions of plain arrays.

Everything that differs between entities (data columns, their length, the numbers inside the priors, a
transferred prior) is an argument. θ is the vector of a model's unknowns on the unconstrained scale, in the
order of PyMC's value variables.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytensor
from numpy.typing import NDArray
from pymc.pytensorf import collect_default_updates, reseed_rngs
from pytensor.compile.mode import get_mode
from pytensor.graph.replace import graph_replace

import posterity.inference.loops
import posterity.inference.trigamma  # noqa: F401  (both teach numba their functions)
from posterity.errors import ModelError
from posterity.inference.graph import Graph, parameter_labels, unconstrained_labels
from posterity.inference.transferred import around
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

WIDTH = 64
"""Numbers a row that a model of classes may hold at once: scores, units of a network."""

PRIORS = 256
"""Priors whose starts are remembered; entities with priors of their own would fill the memory otherwise."""

compilations = 0
"""How many functions this process has compiled; a test holds it constant in the number of entities."""


def _compile(inputs: Sequence[Any], outputs: Any, **options: Any) -> Any:
    global compilations
    compilations += 1
    # pm.compile leaves the parameter checks out, which would raise where a line search overshoots.
    return pm.compile(list(inputs), outputs, on_unused_input="ignore", **options)


class shared_property[T]:  # noqa: N801  (as functools.cached_property)
    """A property that is computed once for all models of one structure."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function, self.__doc__ = function, function.__doc__

    def __get__(self, model: Any, _: Any = None) -> T:
        name = self._function.__name__
        if name not in model.made:
            model.made[name] = self._function(model)
        found: T = model.made[name]
        return found


@dataclass(frozen=True)
class CompiledModel:
    """The functions of one structure; each is compiled when first used.

    S is a number of draws, D the dimension of θ, P the number of scalar parameters, n the number of rows.
    What was made is in `made`, which models share that differ in nothing compiled.
    """

    built: BuiltModel
    made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def description(self) -> Description:
        """What was built."""
        return self.built.description

    @shared_property
    def graph(self) -> Graph:
        """What the functions are compiled from."""
        return Graph(self.built)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the arrays that make up `Inputs`, in order."""
        return self.graph.names

    @property
    def dimension(self) -> int:
        """D, the number of entries of θ."""
        return len(self.owners)

    @property
    def target_dtype(self) -> str:
        """Of the target: int64 where it counts something."""
        return str(self.graph.symbols[self.input_names.index(TARGET)].type.dtype)

    @property
    def owners(self) -> tuple[str, ...]:
        """For every entry of θ the parameter whose prior created it (D,)."""
        return self.graph.owners

    @property
    def transferred(self) -> NDArray[np.int64]:
        """Positions in θ of the entries whose prior is a mixture, in its order; none as declared."""
        return self.graph.transferred

    @shared_property
    def unconstrained_names(self) -> tuple[str, ...]:
        """Label of every entry of θ, PyMC's names: `lambda_val_log__`, `theta[3]`."""
        return unconstrained_labels(self.graph)

    @shared_property
    def parameter_names(self) -> tuple[str, ...]:
        """Label of every scalar parameter as the user named it."""
        return parameter_labels(self.graph)

    def evaluate(self, theta: Floats, inputs: Inputs) -> tuple[Floats, Floats, Floats]:
        """Minus the log density at θ (D,), its gradient (D,) and its Hessian (D, D)."""
        return self._evaluate(theta, *inputs)  # type: ignore[no-any-return]

    def slope(self, theta: Floats, inputs: Inputs) -> tuple[float, Floats]:
        """Log density at θ (D,) and its gradient (D,)."""
        return self._slope(theta, *inputs)  # type: ignore[no-any-return]

    def densities(self, thetas: Floats, inputs: Inputs) -> Floats:
        """Log density at each row of θ (S, D): shape (S,)."""
        at_once = max(1, CELLS // max(1, inputs[self.input_names.index(TARGET)].size))
        if len(thetas) <= at_once:
            return self._densities(thetas, *inputs)  # type: ignore[no-any-return]
        parts = [self._densities(thetas[i : i + at_once], *inputs) for i in range(0, len(thetas), at_once)]
        return np.concatenate(parts)

    def declared_densities(self, names: Sequence[str], thetas: Floats, inputs: Inputs) -> Floats:
        """Declared log prior (S,) of these parameters at each row of θ (S, D), on the unconstrained scale."""
        key = tuple(names)
        if key not in self._declared:
            graph = self.graph.declared(key)
            self._declared[key] = _compile([self.graph.thetas, *self.graph.symbols], graph, **VECTORS)
        return self._declared[key](thetas, *inputs)  # type: ignore[no-any-return]

    @shared_property
    def _declared(self) -> dict[tuple[str, ...], Any]:
        return {}

    def parameters(self, thetas: Floats, inputs: Inputs) -> Floats:
        """Parameters on their own scale for each row of θ (S, D): shape (S, P)."""
        size = len(thetas)
        return np.concatenate([part.reshape(size, -1) for part in self._parameters(thetas, *inputs)], axis=1)

    def unconstrained(self, parameters: Floats, inputs: Inputs) -> Floats | None:
        """θ (S, D) of parameters (S, P) on their own scale; None where these do not tell all of θ."""
        if self._unconstrained is None:
            return None
        return self._unconstrained(parameters, *inputs)  # type: ignore[no-any-return]

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

    def classes(self, parameters: Floats, inputs: Inputs) -> Floats | None:
        """Posterior predictive probability of every class at every row (n, K), the mean over draws of
        parameters (S, P); None where the target is not Categorical.
        """
        if self._classes is None:
            return None
        rows = max(1, inputs[self.input_names.index(TARGET)].size)
        at_once = max(1, CELLS // (rows * WIDTH))
        parts = [parameters[i : i + at_once] for i in range(0, len(parameters), at_once)]
        found: Floats = sum(len(part) * self._classes(part, *inputs) for part in parts)
        return found / len(parameters)

    def step(
        self, parameters: Floats, inputs: Inputs, rng: np.random.Generator
    ) -> tuple[Floats, Floats | None]:
        """The same (S,) at one row, where each draw has a history of its own: those inputs are (S,), others
        (1,).
        """
        function, rngs = self._step
        reseed_rngs(rngs, int(rng.integers(2**62)))
        observed, *expected = (values[:, 0] for values in function(parameters, *inputs))
        return observed, expected[0] if expected else None

    def follow(
        self, parameters: Floats, targets: NDArray[Any], inputs: Inputs, rng: np.random.Generator
    ) -> tuple[Floats, Floats | None]:
        """The same (S, n) where each draw has targets (S, n) of its own, on which rows depend."""
        function, rngs = self._follow
        reseed_rngs(rngs, int(rng.integers(2**62)))
        observed, *expected = function(parameters, targets, *inputs)
        return observed, expected[0] if expected else None

    def starts(self, inputs: Inputs, seed: int, draws: int) -> Floats:
        """The prior's centre and `draws` draws from the prior on the unconstrained scale: (1 + draws, D).

        Transferred entries come from their mixture, the others from the declared prior, which those with
        the same numbers share and compute once.
        """
        mixture = dict(zip(self.input_names, inputs, strict=True)) if len(self.transferred) else {}
        entries = around(mixture, seed, draws) if mixture else None
        if entries is None:
            return self.declared_starts(inputs, seed, draws)
        if len(self.transferred) == self.dimension:
            return entries
        found = self.declared_starts(inputs, seed, draws).copy()
        found[:, self.transferred] = entries
        return found

    def declared_starts(self, inputs: Inputs, seed: int, draws: int) -> Floats:
        """The same from the declared prior of every parameter, transferred or not."""
        prior = (a.tobytes() for a, n in zip(inputs, self.input_names, strict=True) if n.startswith(PREFIX))
        key = (seed, draws, *prior)
        if key not in self._starts:
            if len(self._starts) >= PRIORS:
                self._starts.clear()
            draw, rngs = self._prior_draw
            reseed_rngs(rngs, seed)
            self._starts[key] = np.stack([self._centre(*inputs), *(draw(*inputs) for _ in range(draws))])
        return self._starts[key]

    @shared_property
    def _starts(self) -> dict[Any, Floats]:
        return {}

    @shared_property
    def sampler(self) -> Any:
        """nutpie's compiled form of the same density over one flat θ, data and prior numbers swapped by
        `with_data`.
        """
        graph = self.graph
        shared = {symbol: _shared(symbol) for symbol in graph.symbols}
        with pm.Model() as flat:
            theta = pm.Flat("theta", shape=self.dimension)
            pm.Potential(
                "density", graph_replace(graph.density, {graph.theta: theta, **shared}, strict=False)
            )
        global compilations
        compilations += 1
        return nutpie.compile_pymc_model(flat)

    @shared_property
    def sampler_inputs(self) -> tuple[str, ...]:
        """Names of the inputs that the density really uses; nutpie knows no others."""
        return tuple(variable.name for variable in self.sampler.shared_var_keys)

    @shared_property
    def _evaluate(self) -> Any:
        graph = self.graph
        return _compile([graph.theta, *graph.symbols], [-part for part in graph.expansion], **NUMBA)

    @shared_property
    def _slope(self) -> Any:
        return _compile([self.graph.theta, *self.graph.symbols], list(self.graph.slope), **NUMBA)

    @shared_property
    def _densities(self) -> Any:
        return _compile([self.graph.thetas, *self.graph.symbols], self.graph.densities, **NUMBA)

    @shared_property
    def _parameters(self) -> Any:
        return _compile([self.graph.thetas, *self.graph.symbols], self.graph.parameters, **VECTORS)

    @shared_property
    def _unconstrained(self) -> Any | None:
        found = self.graph.unconstrained()
        return None if found is None else _compile([found[0], *self.graph.symbols], found[1], **VECTORS)

    @shared_property
    def _predict(self) -> tuple[Any, list[Any]]:
        draws, outputs = self.graph.predictions()
        rngs = list(collect_default_updates(outputs))
        return _compile([draws, *self.graph.symbols], outputs, **VECTORS), rngs

    @shared_property
    def _classes(self) -> Any | None:
        found = self.graph.classes()
        return None if found is None else _compile([found[0], *self.graph.symbols], found[1], **VECTORS)

    @shared_property
    def _step(self) -> tuple[Any, list[Any]]:
        inputs, outputs = self.graph.step()
        rngs = list(collect_default_updates(outputs))
        return _compile(inputs, outputs, **VECTORS), rngs

    @shared_property
    def _follow(self) -> tuple[Any, list[Any]]:
        inputs, outputs = self.graph.following()
        rngs = list(collect_default_updates(outputs))
        return _compile(inputs, outputs, **VECTORS), rngs

    @shared_property
    def _centre(self) -> Any:
        return self._initial("support_point")[0]

    @shared_property
    def _prior_draw(self) -> tuple[Any, list[Any]]:
        return self._initial("prior")

    def _initial(self, strategy: str) -> tuple[Any, list[Any]]:
        point = self.graph.initial(strategy)
        rngs = list(collect_default_updates([point]))
        return _compile(self.graph.symbols, point, mode="FAST_COMPILE"), rngs


def _shared(symbol: Any) -> Any:
    """A placeholder that nutpie swaps for data of any length."""
    value = np.ones([2 if length is None else length for length in symbol.type.shape], symbol.type.dtype)
    return pytensor.shared(value, name=symbol.name, shape=symbol.type.shape)


_local = threading.local()


def compiled(description: Description) -> CompiledModel:
    """The compiled model of a description: one per structure, process and thread (its functions share
    buffers).
    """
    cache: dict[tuple[str, str], CompiledModel] = _local.__dict__.setdefault("models", {})
    # The mode as well: what an interpreter computes differs from numba's in the last digit.
    key = description.structure, str(NUMBA["mode"])
    if key not in cache:
        cache[key] = CompiledModel(build(description))
    found = cache[key]
    if found.description.scales == description.scales:
        return found
    return replace(found, built=replace(found.built, description=description))


def inputs_of(model: CompiledModel, arrays: Mapping[str, NDArray[Any]]) -> Inputs:
    """Arrays by name in the order that the compiled functions take them, with their types.

    Raises ModelError for a mixture that is missing or over other entries: the functions trust their inputs.
    """
    return tuple(_input(symbol, arrays) for symbol in model.graph.symbols)


def _input(symbol: Any, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if symbol.name not in arrays:
        raise ModelError(f"the model takes {symbol.name!r}, which is not given; there is {', '.join(arrays)}")
    array = np.ascontiguousarray(arrays[symbol.name], dtype=symbol.type.dtype)
    if symbol.type.ndim < 2:
        array = array.reshape(-1 if symbol.type.ndim else ())
    if len(array.shape) != symbol.type.ndim or any(
        wanted not in (None, length) for wanted, length in zip(symbol.type.shape, array.shape, strict=True)
    ):
        raise ModelError(
            f"{symbol.name} has the shape {array.shape}, the model takes {symbol.type.shape}: "
            "is the prior one of this model?"
        )
    return array
