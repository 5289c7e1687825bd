"""Expressions of a configuration as symbolic values. Parsing and the whitelist live in
`posterity.config.expressions`.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import pytensor.tensor as pt

from posterity.config import smooths
from posterity.config.smooths import Smooth
from posterity.errors import ModelError

BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: pt.lt,
    ast.LtE: pt.le,
    ast.Gt: pt.gt,
    ast.GtE: pt.ge,
    ast.Eq: pt.eq,
    ast.NotEq: pt.neq,
}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "exp": pt.exp,
    "log": pt.log,
    "log1p": pt.log1p,
    "expm1": pt.expm1,
    "sqrt": pt.sqrt,
    "abs": pt.abs,
    "sin": pt.sin,
    "cos": pt.cos,
    "tan": pt.tan,
    "tanh": pt.tanh,
    "sigmoid": pt.sigmoid,
    "logit": lambda p: pt.log(p) - pt.log1p(-p),
    "softplus": pt.softplus,
    "erf": pt.erf,
    "minimum": pt.minimum,
    "maximum": pt.maximum,
    "where": pt.switch,
    "clip": pt.clip,
    "floor": pt.floor,
}


def evaluate(
    tree: ast.AST,
    names: Mapping[str, Any],
    subscript: Callable[[str, ast.expr], Any],
    smooth: Callable[[Smooth], Any],
) -> Any:
    """Walk a tree that `posterity.config.expressions.parse` has passed.

    `names` are the symbolic values an expression may use; `subscript(vector, index)` gives `vector[index]`,
    `smooth` the value of a smooth function.
    """

    def walk(node: ast.AST) -> Any:
        match node:
            case ast.Expression(body=body):
                return walk(body)
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return names[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -walk(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return walk(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return BINARY[type(op)](walk(left), walk(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                # As a number: the sum of two truth values would be their "or", their difference an error.
                return pt.cast(COMPARE[type(op)](walk(left), walk(right)), "float64")
            case ast.Call(func=ast.Name(id=smooths.NAME)):
                return smooth(smooths.smooth_of(node))
            case ast.Call(func=ast.Name(id=function), args=arguments):
                return FUNCTIONS[function](*(walk(argument) for argument in arguments))
            case ast.Subscript(value=ast.Name(id=vector), slice=index):
                return subscript(vector, index)
        raise ModelError(
            f"an expression holds a {type(node).__name__}, which the whitelist should have refused"
        )

    return walk(tree)
