"""Expressions of a configuration: Python's syntax, a whitelist of its nodes, never `eval`.

Allowed: numbers, names, + - * / **, unary minus, one comparison at a time, calls of `FUNCTIONS`, and
subscripts of vector parameters: `z[school]` (the row's level of a column), `beta[0]` or `beta['slope']`,
`z[school, year]` for two dims. One function more, with named arguments, is `smooth` (`smooths.py`).
"""

import ast
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from posterity.config import smooths
from posterity.config.curves import BUILTIN_CURVES
from posterity.config.words import MAX_INTEGER, listed, meant, quoted
from posterity.errors import ConfigError, Problem

MAX_LENGTH = 2_000
MAX_DEPTH = 100

FUNCTIONS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(
        "exp log log1p expm1 sqrt abs sin cos tan tanh sigmoid logit softplus erf floor".split(),
        1,
    )
    | {"minimum": 2, "maximum": 2, "where": 3, "clip": 3}
)
"""Function -> number of arguments. `where(condition, a, b)`, `clip(value, lowest, highest)`."""

type Index = str | int | ast.Name
"""A label, a position, or a column whose level in the row is meant."""


@dataclass(frozen=True, slots=True)
class Subscript:
    """`name[index, ...]`."""

    name: str
    indices: tuple[Index, ...]


_FLAWS = {
    ast.BitXor: "'^' is not a power; write **",
    ast.Mod: "'%' is not allowed; allowed are + - * / **",
    ast.FloorDiv: "'//' is not allowed; write floor(a / b)",
    ast.MatMult: "'@' is not allowed; allowed are + - * / **",
    ast.BoolOp: "'and' and 'or' are not allowed; multiply comparisons, or nest where(condition, a, b)",
    ast.Not: "'not' is not allowed; turn the comparison around",
    ast.IfExp: "'a if c else b' is not allowed; write where(c, a, b)",
    ast.Slice: "a slice is not allowed; index with a column, a label or a position",
    ast.Lambda: "lambda is a Python word; give the parameter another name, for instance lambda_val",
    ast.keyword: "named arguments are not allowed; give them in order",
    ast.Starred: "'*' before an argument is not allowed",
    ast.In: "'in' is not allowed; compare with == or <",
    ast.NamedExpr: "':=' is not allowed; an expression names nothing",
}
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub, ast.UAdd)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


def parse(text: str) -> ast.Expression:
    """The syntax tree of an expression that holds nothing but what is allowed.

    Raises `ConfigError`; each problem says at which character."""
    tree, flaws = examine(text)
    if tree is None or flaws:
        raise ConfigError(Problem(flaw, quoted(text)) for flaw in flaws)
    return tree


def examine(text: str) -> tuple[ast.Expression | None, list[str]]:
    """The tree, if there is one, and a sentence for everything in it that is not allowed."""
    if not text.strip():
        return None, ["the expression is empty"]
    if len(text) > MAX_LENGTH:
        return None, [f"the expression has {len(text):,} characters; at most {MAX_LENGTH:,} are read"]
    line = text.replace("\r", " ").replace("\n", " ")
    start = len(line) - len(line.lstrip())
    try:
        with warnings.catch_warnings():
            # What Python only warns about (`1or 2`, '\\d') is no concern of whoever wrote the configuration.
            warnings.simplefilter("ignore")
            tree = ast.parse(line.strip(), mode="eval")
    except SyntaxError as error:
        return None, [_syntax(line, error)]
    except (ValueError, RecursionError, MemoryError) as error:
        return None, [f"the expression cannot be read ({str(error) or 'nested too deeply'})"]
    if _depth(tree) > MAX_DEPTH:
        return None, [f"the expression is nested deeper than {MAX_DEPTH} levels; split it into quantities"]
    strings = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    if "#" in text and text.count("#") != sum(s.count("#") for s in strings if isinstance(s, str)):
        return None, ["'#' would hide the rest of the expression; leave it out"]
    flaws = [f"{_place(line, start, node)}{flaw}" for node, flaw in _check(tree.body)]
    if len(smooths.calls(tree)) > 1:
        flaws.append(
            "smooth stands here twice; give each a quantity of its own, after which its parameters are named"
        )
    return tree, flaws


def names(tree: ast.Expression) -> frozenset[str]:
    """Every name an expression reads: parameters, quantities, columns (those in subscripts too), not
    functions."""
    return frozenset(name.id for name in _names(tree))


def bare_names(tree: ast.Expression) -> frozenset[str]:
    """Names read as a value: neither subscripted nor inside a subscript."""
    inside = {id(n) for s in ast.walk(tree) if isinstance(s, ast.Subscript) for n in ast.walk(s)}
    return frozenset(name.id for name in _names(tree) if id(name) not in inside)


def subscripts(tree: ast.Expression) -> tuple[Subscript, ...]:
    """The subscripts of an examined expression, from left to right."""
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name)]
    found.sort(key=lambda n: n.col_offset)
    return tuple(Subscript(n.value.id, tuple(_indices(n))) for n in found if isinstance(n.value, ast.Name))


def _names(tree: ast.Expression) -> Iterator[ast.Name]:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return (node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called)


def _indices(node: ast.Subscript) -> Iterator[Index]:
    for part in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
        if isinstance(part, ast.Name):
            yield part
        elif isinstance(part, ast.Constant) and isinstance(part.value, str | int):
            yield part.value


def _depth(tree: ast.AST) -> int:
    depth, level = 0, [tree]
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def _check(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Walks down only what is allowed, so that one flaw is reported once."""
    match node:
        case ast.Constant(value=value):
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield node, f"{quoted(value)} is not allowed; numbers and names are"
            elif value > MAX_INTEGER if isinstance(value, int) else not math.isfinite(value):
                yield node, "the number is too large"
        case ast.Name():
            if node.id in ("inf", "nan", "Infinity", "NaN"):
                yield node, f"{node.id} is not a finite number"
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            yield from _check(operand)
        case ast.BinOp(op=op) if isinstance(op, _OPERATORS):
            yield from _check(node.left)
            yield from _check(node.right)
            if (
                _constant(node.left) is not None
                and _constant(node.right) is not None
                and _constant(node) is None
            ):
                yield node, "this has no finite value"
        case ast.Compare():
            yield from _comparison(node)
        case ast.Call():
            yield from _call(node)
        case ast.Subscript():
            yield from _subscript(node)
        case _:
            kinds = (type(getattr(node, "op", node)), type(node))
            flaw = next((_FLAWS[k] for k in kinds if k in _FLAWS), None)
            allowed = "allowed are numbers, names, + - * / **, comparisons, calls"
            yield node, flaw or f"{_word(node)} is not allowed; {allowed}"


def _comparison(node: ast.Compare) -> Iterator[tuple[ast.AST, str]]:
    if len(node.ops) > 1:
        yield node, "one comparison at a time; write where(a < b, where(b < c, 1, 0), 0)"
    elif not isinstance(node.ops[0], _COMPARISONS):
        yield node, _FLAWS.get(type(node.ops[0]), "allowed comparisons are < <= > >= == !=")
    for side in (node.left, *node.comparators):
        yield from _check(side)


def _call(node: ast.Call) -> Iterator[tuple[ast.AST, str]]:
    known = (*FUNCTIONS, smooths.NAME)
    match node.func:
        case ast.Name(id=smooths.NAME):
            yield from smooths.flaws(node)
            return
        case ast.Name(id=name) if name in FUNCTIONS:
            wanted = FUNCTIONS[name]
            if len(node.args) != wanted or node.keywords:
                plural = "argument" if wanted == 1 else "arguments"
                found = len(node.args) + len(node.keywords)
                yield node, f"{name} takes {wanted} {plural} in order, {found} found"
        case ast.Name(id=name) if name in BUILTIN_CURVES:
            yield (
                node,
                f"{name} is a curve; write `function: {name}` as a quantity of its own and use that here",
            )
        case ast.Name(id=name):
            yield node, f"no function {name!r}; allowed: {listed(known)}{meant(name, known)}"
        case ast.Attribute(attr=name) if name in FUNCTIONS:
            yield node, f"write {name}(...) without a module in front"
        case _:
            yield node, f"only named functions can be called: {listed(known)}"
    for argument in node.args:
        yield from _check(argument)


def _subscript(node: ast.Subscript) -> Iterator[tuple[ast.AST, str]]:
    if not isinstance(node.value, ast.Name):
        yield node, "only a vector parameter can be indexed, as in z[school]"
    for part in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
        match part:
            case ast.Name():
                pass
            case ast.Constant(value=str() | int() as value) if not isinstance(value, bool):
                if isinstance(value, int) and value > MAX_INTEGER:
                    yield part, "the position is too large"
            case ast.UnaryOp(operand=ast.Constant()):
                yield part, "positions count from 0; negative ones are not allowed"
            case ast.Slice():
                yield part, _FLAWS[ast.Slice]
            case _:
                yield (
                    part,
                    "an index is a column, a label in quotes or a position, as in z[school], z['a'], z[0]",
                )


def _constant(node: ast.AST) -> float | None:
    """The value of a part without names, computed in floats so that 9**9**9 costs nothing; None if it has
    none."""
    try:
        match node:
            case ast.Constant(value=int() | float() as value):
                return float(value)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return None if (inner := _constant(operand)) is None else -inner
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return _constant(operand)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = _constant(left), _constant(right)
                if a is None or b is None:
                    return None
                result: object
                match op:
                    case ast.Add():
                        result = a + b
                    case ast.Sub():
                        result = a - b
                    case ast.Mult():
                        result = a * b
                    case ast.Div():
                        result = a / b
                    case _:
                        result = a**b
                return result if isinstance(result, float) and math.isfinite(result) else None
    except (OverflowError, ZeroDivisionError):
        pass
    return None


def _place(line: str, start: int, node: ast.AST) -> str:
    offset = getattr(node, "col_offset", None)
    if offset is None:
        return ""
    # The offset counts UTF-8 bytes.
    before = line.strip().encode()[:offset].decode(errors="ignore")
    return f"at character {start + len(before) + 1}: "


def _word(node: ast.AST) -> str:
    words = {
        "Attribute": "a dot",
        "List": "a list",
        "Tuple": "a tuple",
        "Dict": "a dictionary",
        "JoinedStr": "an f-string",
    }
    name = type(node).__name__
    return words.get(name, name)


def _syntax(line: str, error: SyntaxError) -> str:
    if re.search(r"\blambda\b", line):
        return _FLAWS[ast.Lambda]
    place = f"at character {error.offset + len(line) - len(line.lstrip())}: " if error.offset else ""
    reason = (error.msg or "invalid syntax").removesuffix(". Perhaps you forgot a comma?")
    if "invalid syntax" in reason or "invalid decimal literal" in reason:
        reason += ", as in `top * (1 - exp(-rate * week))`; multiplication needs a *"
    if smooths.NAME not in line and "=" in line.replace("==", "").replace("<=", "").replace(">=", "").replace(
        "!=", ""
    ):
        reason = "'=' is not allowed; the quantity's name stands before the colon"
    return f"{place}{reason}"
