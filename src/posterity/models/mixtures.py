"""A transferred prior as part of a model's graph: a Gaussian mixture over entries of θ, all of it input.

K components over D entries; component k is given by its whitener Wₖ, the lower triangular inverse of its
covariance's Cholesky factor, its mean mₖ, and log weight + log|Wₖ| − D/2 log 2π. That asks for no
factorisation in the graph, and a whitener of zeros is a component without an opinion. K is fixed, so that
every mixture fits the same compiled functions; components that are not needed have the log weight `ABSENT`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

COMPONENTS = 5
"""Four for the shape of a population and one that is vague."""
ABSENT = -1e300
"""Log weight of a component that is not there: finite, so that 0 × it is 0 and not NaN."""

LOG_WEIGHTS = "mixture:log_weights"
MEANS = "mixture:means"
WHITENERS = "mixture:whiteners"


@dataclass(frozen=True, slots=True)
class MixtureInputs:
    """The symbols of a mixture: (K,), (K, D) and (K, D, D)."""

    log_weights: Any
    means: Any
    whiteners: Any

    @classmethod
    def over(cls, entries: int) -> "MixtureInputs":
        """Symbols for a mixture over so many entries of θ."""
        return cls(
            *(
                pt.tensor(name, dtype="float64", shape=(COMPONENTS, *(entries,) * axes))
                for axes, name in enumerate((LOG_WEIGHTS, MEANS, WHITENERS))
            )
        )

    @property
    def symbols(self) -> tuple[Any, ...]:
        """All of them, in the order in which the compiled functions take them."""
        return self.log_weights, self.means, self.whiteners


def terms(thetas: Any, positions: Any, log_weights: Any, means: Any, whiteners: Any) -> tuple[Any, Any]:
    """Log weighted densities (S, K) and whitened distances (K, S, D) of θ's entries at `positions`."""
    away = thetas[:, positions][None] - means[:, None]
    whitened = away @ whiteners.transpose(0, 2, 1)
    return log_weights - 0.5 * (whitened**2).sum(axis=2).T, whitened


class LogMixture(Op):
    """Log density (S,) of a mixture at θ (S, T), of which it is about the entries at `positions`.

    An operation of its own rather than a formula in PyTensor: numba compiles a formula of three axes and its
    derivatives for a minute, two loops in seconds (`posterity.inference.loops`).
    """

    __props__ = ("positions",)

    def __init__(self, positions: tuple[int, ...]) -> None:
        self.positions = positions

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """PyTensor's."""
        thetas, *_ = inputs
        return Apply(self, list(inputs), [pt.vector(dtype="float64", shape=(thetas.type.shape[0],))])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """PyTensor's, by NumPy."""
        thetas, *mixture = inputs
        found, _ = terms(thetas, list(self.positions), *mixture)
        largest = found.max(axis=1)
        output_storage[0][0] = largest + np.log(np.exp(found - largest[:, None]).sum(axis=1))


class LogMixtureExpansion(Op):
    """Log density (), gradient (T,) and Hessian (T, T) of a mixture at one θ (T,).

    With responsibilities rₖ, Pₖ = Wₖ'Wₖ and gₖ = −Pₖ(θ − mₖ): gradient g = Σ rₖ gₖ, Hessian
    Σ rₖ ((gₖ − g)(gₖ − g)' − Pₖ). The density can be differentiated once, the others cannot.
    """

    __props__ = ("positions",)

    def __init__(self, positions: tuple[int, ...]) -> None:
        self.positions = positions

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """PyTensor's."""
        (size,) = inputs[0].type.shape
        shapes = ((), (size,), (size, size))
        return Apply(self, list(inputs), [pt.tensor(dtype="float64", shape=s) for s in shapes])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """PyTensor's, by NumPy."""
        theta, *mixture = inputs
        at = list(self.positions)
        (found,), whitened = terms(theta[None], at, *mixture)
        whiteners = mixture[-1]
        shares = np.exp(found - found.max())
        weights = shares / shares.sum()
        slopes = -np.einsum("kij,ki->kj", whiteners, whitened[:, 0])
        gradient, hessian = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
        gradient[at] = weights @ slopes
        apart = slopes - gradient[at]
        hessian[np.ix_(at, at)] = (apart.T * weights) @ apart - np.einsum(
            "k,kij,kil->jl", weights, whiteners, whiteners
        )
        value = np.asarray(found.max() + np.log(shares.sum()))
        for storage, output in zip(output_storage, (value, gradient, hessian), strict=True):
            storage[0] = output

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """PyTensor's."""
        if not all(isinstance(c.type, DisconnectedType) for c in cotangents[1:]):
            raise NotImplementedError("the Hessian of a mixture is an output, its gradient has no gradient")
        return [cotangents[0] * outputs[1], *(DisconnectedType()() for _ in inputs[1:])]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """PyTensor's: nobody differentiates with respect to the mixture."""
        return [[True] * 3, *([False] * 3 for _ in node.inputs[1:])]
