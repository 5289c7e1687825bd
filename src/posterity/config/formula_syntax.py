"""What may stand in a formula: names of columns, R's operators, and a whitelist of functions.

A configuration is untrusted text. formulae's parser turns it into a tree, which is walked here before
anything else looks at it; the functions are called by `posterity.models.parts`, which knows no others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from posterity.config import expressions
from posterity.config.words import MAX_INTEGER, listed, meant, quoted

MAX_LENGTH, MAX_DEPTH, MAX_TERMS = 2_000, 120, 200
ELEMENTWISE = MappingProxyType({**expressions.FUNCTIONS, "log2": 1, "log10": 1})
"""Function -> number of arguments, as in expressions."""


@dataclass(frozen=True, slots=True)
class Special:
    """A function with settings: `positional` may stand without their names, `named` only with them."""

    positional: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    inside: bool = False

    @property
    def settings(self) -> tuple[str, ...]:
        """All that may be set."""
        return (*self.positional, *self.named)


SPECIAL = MappingProxyType(
    {
        "I": Special(inside=True),
        "center": Special(inside=True),
        "scale": Special(inside=True),
        "standardize": Special(inside=True),
        "poly": Special(("degree",), ("raw",)),
        "bs": Special(("df",), ("degree", "lower_bound", "upper_bound", "center")),
        "cr": Special(("df",), ("lower_bound", "upper_bound", "center")),
        "cc": Special(("period", "df"), ("lower_bound", "center")),
        "C": Special(),
        "T": Special(("ref",)),
        "S": Special(("omit",)),
        "offset": Special(),
    }
)
"""`inside`: whether it may stand inside other functions, too."""
CATEGORICAL = ("C", "T", "S")
FUNCTIONS = (*ELEMENTWISE, *SPECIAL)
WHOLE = {"df": 100, "degree": 10}
"""Settings that are whole numbers, with the largest of each."""
_ARITHMETIC = "PLUS MINUS STAR SLASH STAR_STAR".split()
_COMPARISONS = "EQUAL_EQUAL BANG_EQUAL LESS_EQUAL LESS GREATER_EQUAL GREATER".split()
_REFUSED = {
    "tp": "write cr(...), a spline whose state is a few numbers",
    "hsgp": "write a quantity of its own, with the expression smooth(x, m=20)",
    "binary": "compare instead, as in I(deal == 1)",
    "B": "compare instead, as in I(deal == 1)",
    "ns": "write cr(...), a natural cubic spline",
    "factor": "write C(...)",
    "prop": "the target is `data.target`; shares are a matter of the likelihood",
    "proportion": "the target is `data.target`; shares are a matter of the likelihood",
}


def flaws(tree: Any) -> Iterator[str]:
    """A sentence for everything in a formula's tree that is not allowed."""
    if _depth(tree) > MAX_DEPTH:
        yield f"the formula is deeper than {MAX_DEPTH} levels; split it into quantities"
        return
    found = list(_algebra(tree))
    yield from found
    if not found and (size := _size(tree)) > MAX_TERMS:
        yield f"the formula multiplies out to {size:,} terms or more; at most {MAX_TERMS} are fitted"


def _kind(node: Any) -> str:
    return type(node).__name__


def _algebra(node: Any) -> Iterator[str]:
    """Outside of functions, where operators combine terms."""
    if _kind(node) == "Call":
        yield from _call(node, outermost=True)
    elif flaw := _no_term(node):
        yield flaw
    else:
        power = _kind(node) == "Binary" and node.operator.kind == "STAR_STAR"
        for inner in [node.left] if power else _children(node):
            yield from _algebra(inner)


def _no_term(node: Any) -> str | None:
    """Why something cannot be a term, what is inside it left out."""
    match _kind(node):
        case "Binary" if node.operator.kind == "STAR_STAR":
            power = getattr(node.right, "value", None)
            if type(power) is not int or not 1 <= power <= 4:
                return (
                    "outside functions ** means interactions up to that order, 1 to 4; a power is I(x ** 2)"
                )
        case "Binary" if node.operator.kind in _COMPARISONS:
            return f"{node.operator.lexeme!r} is no operator of terms; write I(x {node.operator.lexeme} 1)"
        case "Literal" if type(node.value) is not int or node.value not in (0, 1):
            return (
                f"{quoted(node.value)} is no term; 1 is the intercept, 0 leaves it out, and numbers are "
                "multiplied inside I(...)"
            )
        case "Variable" if node.level is not None:
            return f"{node.name.lexeme}[...] is not allowed; an indicator of a level is I(x == 'level')"
        case "Variable":
            return _name(node)
        case "Assign":
            return "'=' is not allowed; the quantity's name stands before the colon"
    return None


def _name(node: Any) -> str | None:
    name = node.name.lexeme
    if "." in name:
        return (
            f"{quoted(name)} has a dot; nothing is looked up inside of names, and a column of that name "
            f"stands in backquotes, `{name}`"
        )
    return None


def _call(node: Any, outermost: bool = False) -> Iterator[str]:
    if _kind(node.callee) != "Variable" or node.callee.level is not None:
        yield f"only named functions can be called: {listed(FUNCTIONS)}"
        return
    name = node.callee.name.lexeme
    given = [a for a in node.args if _kind(a) != "Assign"]
    named = {a.name.name.lexeme: a.value for a in node.args if _kind(a) == "Assign"}
    if name in ELEMENTWISE:
        wanted = ELEMENTWISE[name]
        if len(given) != wanted or named:
            plural = "argument" if wanted == 1 else "arguments"
            yield f"{name} takes {wanted} {plural} in order, {len(node.args)} found"
        for argument in given:
            yield from _value(argument)
    elif name in SPECIAL:
        yield from _special(name, given, named, outermost)
    elif "." in name:
        last = name.rpartition(".")[2]
        hint = f"write {last}(...) without a module in front" if last in FUNCTIONS else "modules are not"
        yield f"{quoted(name)} is not allowed; {hint}, allowed: {listed(FUNCTIONS)}"
    else:
        hint = f"; {_REFUSED[name]}" if name in _REFUSED else meant(name, FUNCTIONS)
        yield f"no function {quoted(name)}; allowed: {listed(FUNCTIONS)}{hint}"


def _special(name: str, given: list[Any], named: dict[str, Any], outermost: bool) -> Iterator[str]:
    special = SPECIAL[name]
    if not outermost and not special.inside:
        yield f"{name}(...) is a term by itself; it cannot stand inside another function"
    if not given:
        yield f"{name} needs a column: {name}(x)"
        return
    if name in CATEGORICAL:
        if _kind(given[0]) not in ("Variable", "QuotedName"):
            yield f"{name} takes a column by its name; categories are not computed"
    elif not (name == "offset" and _kind(given[0]) == "Literal"):
        yield from _value(given[0])
    if len(given) - 1 > len(special.positional):
        extra = f" and {listed(special.settings)} by name" if special.settings else ""
        yield f"{name} takes one column{extra}; {len(given)} arguments found"
        return
    settings = dict(zip(special.positional, given[1:], strict=False))
    for key, value in [*settings.items(), *named.items()]:
        if key not in special.settings or (key in settings and key in named):
            known = listed(special.settings) or "none"
            yield f"{name} has no setting {quoted(key)}; allowed: {known}{meant(key, special.settings)}"
        elif flaw := _setting(key, value):
            yield f"{name}: {flaw}"
    settings |= named
    if name in ("poly", "bs") and special.positional[0] not in settings:
        yield f"{name} needs {special.positional[0]}, as in {name}(x, {special.positional[0]}=3)"
    if name == "cc" and "period" not in settings:
        yield "cc needs period, as in cc(week, period=52)"


def _setting(key: str, node: Any) -> str | None:
    """Why a setting cannot have this value, or None."""
    value = constant(node)
    if key in WHOLE:
        most = WHOLE[key]
        return None if type(value) is int and 0 <= value <= most else f"{key} is a whole number up to {most}"
    if key in ("center", "raw"):
        return None if isinstance(value, bool) else f"{key} is True or False"
    if key in ("ref", "omit"):
        return None if isinstance(value, str | int) else f"{key} is a level, as text or a whole number"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key == "period":
        return None if number and value > 0 else "period is a number above 0"
    return None if number else f"{key} is a number"


def constant(node: Any) -> Any:
    """The value of a literal, with its sign; None where there is none."""
    match _kind(node):
        case "Grouping":
            return constant(node.expression)
        case "Unary" if isinstance(value := constant(node.right), int | float):
            return -value if node.operator.kind == "MINUS" else value
        case "Literal":
            return node.value
    return None


def _value(node: Any) -> Iterator[str]:
    """Inside of functions, where operators compute."""
    if _kind(node) == "Call":
        yield from _call(node)
    elif flaw := _no_value(node):
        yield flaw
    else:
        for inner in _children(node):
            if not _text(inner):  # beside a column, as `_compared` has seen
                yield from _value(inner)


def _no_value(node: Any) -> str | None:
    """Why something cannot be computed, what is inside it left out."""
    match _kind(node):
        case "Binary" if node.operator.kind not in (*_ARITHMETIC, *_COMPARISONS):
            return f"{node.operator.lexeme!r} is not allowed inside a function; allowed are + - * / ** < > =="
        case "Binary":
            return _compared(node)
        case "Literal":
            if isinstance(node.value, bool) or not isinstance(node.value, int | float):
                return f"{quoted(node.value)} is not allowed; numbers and names are"
            return "the number is too large" if abs(node.value) > MAX_INTEGER else None
        case "Variable" if node.level is not None:
            return f"{node.name.lexeme}[...] is not allowed; write I(x == 'level')"
        case "Variable":
            return _name(node)
        case "Assign":
            return f"{node.name.name.lexeme}=... is no setting of this function"
    return None


def _compared(node: Any) -> str | None:
    """Text stands beside a column and == or !=; formulae would read -x ** 2 as (-x) ** 2."""
    if any(map(_text, (node.left, node.right))):
        columns = [s for s in (node.left, node.right) if _kind(s) in ("Variable", "QuotedName")]
        if len(columns) != 1 or node.operator.kind not in _COMPARISONS[:2]:
            return "text can only be compared with a column, by == or !="
    if node.operator.kind == "STAR_STAR" and _kind(node.left) in ("Unary", "Binary"):
        return "brackets are needed to tell what ** is a power of, as in -(x ** 2) or (a ** b) ** c"
    return None


def _text(node: Any) -> bool:
    return _kind(node) == "Literal" and isinstance(node.value, str)


def _size(node: Any) -> int:
    """How many terms a formula multiplies out to, at most."""
    match _kind(node):
        case "Grouping":
            return _size(node.expression)
        case "Unary":
            return _size(node.right)
        case "Binary":
            a = _size(node.left)
            if node.operator.kind == "STAR_STAR":
                return sum(a**k for k in range(1, int(node.right.value) + 1))
            b = _size(node.right)
            kinds = {"STAR": a + b + a * b, "COLON": a * b, "SLASH": a + a * b, "PIPE": (a + 1) * b}
            return kinds.get(node.operator.kind, a + b)
    return 1


def _depth(node: Any) -> int:
    depth, level = 0, [node]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            break
        level = [inner for one in level for inner in _children(one)]
    return depth


def _children(node: Any) -> list[Any]:
    match _kind(node):
        case "Grouping":
            return [node.expression]
        case "Unary":
            return [node.right]
        case "Binary":
            return [node.left, node.right]
        case "Call":
            return [node.callee, *node.args]
        case "Assign":
            return [node.value]
    return []
