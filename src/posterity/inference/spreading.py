"""Random variables in the form that `vectorize_graph` takes: the predictive distribution over many draws."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pymc.distributions.distribution import SymbolicRandomVariable
from pytensor.compile.rewriting import inline_ofg_node
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.type_other import NoneTypeT


def spread(variable: Any, known: Collection[Any]) -> Any:
    """The same random variable given those in `known`, made of plain ones whose arguments have its size.

    Mixtures, censored and truncated distributions are graphs in a node of their own, which PyTensor 3.3 does
    not vectorize; what is inside is.
    """
    node = variable.owner
    if not isinstance(node.op, SymbolicRandomVariable):
        return _sized(variable, node.inputs[0])
    opened = inline_ofg_node(node)[node.outputs.index(variable)]
    drawn = [
        v
        for v in ancestors([opened], blockers=list(known))
        if v.owner is not None
        and isinstance(v.owner.op, RandomVariable | SymbolicRandomVariable)
        and v is v.owner.outputs[-1]
        and v not in known
    ]
    (found,) = graph_replace([opened], {v: _inner(v, known) for v in drawn}, strict=False)
    return found


def _inner(variable: Any, known: Collection[Any]) -> Any:
    """With a generator of its own: what the graph asks of the variable's shape keeps the old one."""
    if isinstance(variable.owner.op, SymbolicRandomVariable):
        return spread(variable, known)
    return _sized(variable, pytensor.shared(np.random.default_rng()))


def _sized(variable: Any, rng: Any) -> Any:
    """`vectorize_graph` extends a size by looking at the first argument only, which fails where that one is a
    constant, as in StudentT(nu=4, mu, sigma).
    """
    node = variable.owner
    if not isinstance(node.op, RandomVariable):
        return variable
    size, arguments = node.op.size_param(node), node.op.dist_params(node)
    if isinstance(size.type, NoneTypeT):
        return variable
    whole = [_broadcast(a, size, core) for a, core in zip(arguments, node.op.ndims_params, strict=True)]
    return node.op.make_node(rng, None, *whole).outputs[1]


def _broadcast(argument: Any, size: Any, core: int) -> Any:
    """An argument of this size, beside the dimensions that one draw takes: the classes of a Categorical."""
    if not core:
        return pt.broadcast_to(argument, size)
    return pt.broadcast_to(argument, pt.concatenate([size, argument.shape[argument.ndim - core :]]))
