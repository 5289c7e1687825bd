"""Formulas of a regression, as R writes them: `1 + log(price) + deal + (1|store)`.

formulae (bambi's library) parses them and multiplies terms out; what may stand in one is in `formula_syntax`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

from posterity.config.formula_syntax import CATEGORICAL, MAX_LENGTH, SPECIAL, flaws
from posterity.config.words import quoted
from posterity.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Term:
    """A term by the name that formulae prints.

    `parts` are the texts of what is multiplied, none for an intercept, and `printed` their names; those in
    `by` name the groups of a group-specific term, `(1|store)`. `suffix` is what its parameter is called after
    the quantity's name.
    """

    name: str
    parts: tuple[str, ...]
    by: tuple[str, ...]
    printed: tuple[str, ...]
    suffix: str


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula multiplied out: terms with a parameter, offsets without, and the columns that both read."""

    terms: tuple[Term, ...]
    offsets: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What priors may be given to: the terms, and the terms of lower order that formulae may add to make
        an interaction of categories complete.
        """
        found = [t.name for t in self.terms]
        for term in self.terms:
            for n in range(1, 0 if term.by else len(term.printed)):
                found += map(":".join, combinations(term.printed, n))
        return tuple(dict.fromkeys(found))


def parse(text: str) -> Formula:
    """The terms of a formula that holds nothing but what is allowed. Raises `ConfigError`."""
    formula, found = examine(text)
    if formula is None:
        raise ConfigError(Problem(flaw, quoted(text)) for flaw in found)
    return formula


@lru_cache(maxsize=256)
def examine(text: str) -> tuple[Formula | None, tuple[str, ...]]:
    """The formula, if it is one, and else a sentence for everything that is wrong with it."""
    if not text.strip():
        return None, ("the formula is empty; 1 is the intercept alone",)
    if len(text) > MAX_LENGTH:
        return None, (f"the formula has {len(text):,} characters; at most {MAX_LENGTH:,} are read",)
    tree, flaw = _tree(text, add_intercept=True)
    if tree is None:
        return None, (flaw,)
    if found := tuple(dict.fromkeys(flaws(tree))):
        return None, found
    try:
        model = _resolved(tree)
    except Exception as error:  # formulae raises whatever its operators raise
        # It cannot multiply out terms with unnamed settings.
        hint = "; name the settings, as in poly(x, degree=2)" if "hash" in str(error) else ""
        return None, (f"the formula cannot be read ({error}){hint}",)
    return _formula(model)


def part(text: str) -> Any:
    """The part of a term behind its text: formulae's lazy call or variable, which `models.parts` walks."""
    from formulae.terms.call_resolver import CallResolver

    tree, flaw = _tree(text, add_intercept=False)
    if tree is None or (found := list(flaws(tree))):
        raise ConfigError([Problem(flaw or found[0], quoted(text))])
    return CallResolver(tree).resolve()


def written(node: Any) -> str:
    """A part as text that `part` reads back; formulae's own leaves out brackets."""
    match type(node).__name__:
        case "LazyCall":
            named = [f"{name}={written(value)}" for name, value in node.kwargs.items()]
            return f"{node.callee}({', '.join([*map(written, node.args), *named])})"
        case "LazyOperator" if len(node.args) == 1:
            return f"{node.symbol}{_bracketed(node.args[0])}"
        case "LazyOperator":
            return f" {node.symbol} ".join(map(_bracketed, node.args))
        case "LazyValue":
            return repr(node.value)
    return node.name if re.fullmatch(r"[^\W\d_]\w*", node.name) else f"`{node.name}`"


def _bracketed(node: Any) -> str:
    return f"({written(node)})" if type(node).__name__ == "LazyOperator" else written(node)


def columns(node: Any) -> Iterator[str]:
    """Columns that a part reads."""
    match type(node).__name__:
        case "LazyCall":
            for inner in (*node.args, *node.kwargs.values()):
                yield from columns(inner)
        case "LazyOperator":
            for inner in node.args:
                yield from columns(inner)
        case "LazyVariable" | "Variable":
            yield node.name


def suffixes(named: Iterable[tuple[tuple[str, ...], tuple[str, ...]]]) -> list[str]:
    """What the parameters of terms (parts, by) are called after the quantity's name, each once."""
    found: list[str] = []
    for parts, by in named:
        word = _word(parts) if parts else "intercept"
        word = f"{word}_by_{_word(by)}" if by else word
        same = sum(re.fullmatch(rf"{re.escape(word)}(_\d+)?", other) is not None for other in found)
        found.append(f"{word}_{same + 1}" if same else word)
    return found


def _word(parts: Iterable[str]) -> str:
    return re.sub(r"[\W_]+", "_", "_".join(_said(part(text)) for text in parts)).strip("_") or "term"


def _said(node: Any) -> str:
    """A part without its settings."""
    match type(node).__name__:
        case "LazyCall" if node.callee in (*CATEGORICAL, "I"):
            return _said(node.args[0])
        case "LazyCall" if node.callee in SPECIAL:
            return f"{node.callee}_{_said(node.args[0])}"
    return written(node)


def _tree(text: str, *, add_intercept: bool) -> tuple[Any, str]:
    from formulae.parser import Parser
    from formulae.scanner import Scanner

    if text.count("`") % 2:
        return None, "a backquote is not closed"
    try:
        tokens = Scanner(text).scan(add_intercept)
        if any(token.kind == "TILDE" for token in tokens):
            return None, (
                "'~' found; the target is `data.target`, so write what stands on the right of it only"
            )
        parser = Parser(tokens)
        tree = parser.parse()
    except RecursionError:
        return None, "the formula is nested too deeply"
    except Exception as error:  # ScanError, ParseError, and IndexError where a token is missing
        reason = str(error) or "something is missing at the end"
        return None, f"the formula cannot be read ({reason}); it looks like `1 + log(price) + deal`"
    if not parser.at_end():
        return None, (
            f"the formula cannot be read from {parser.peek().lexeme!r} on; + : * / - and | join terms"
        )
    return tree, ""


def _resolved(tree: Any) -> Any:
    from formulae.resolver import Resolver
    from formulae.terms.terms import Model

    found = Resolver(tree).resolve()
    return found if isinstance(found, Model) else Model(found)


def _formula(model: Any) -> tuple[Formula | None, tuple[str, ...]]:
    raw: list[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = []
    offsets: list[str] = []
    read: list[str] = []
    for term in [*model.common_terms, *model.group_terms]:
        if type(term).__name__ == "NegatedIntercept":
            continue
        inner = getattr(term, "expr", term)
        components = getattr(inner, "components", ())
        nodes = [_node(c) for c in components]
        by = [_node(c) for c in term.factor.components] if hasattr(term, "factor") else []
        read += [name for node in (*nodes, *by) for name in columns(node)]
        if idle := [n for n in (*nodes, *by) if not any(columns(n)) and not _is_offset(n)]:
            return None, (
                f"{written(idle[0])} reads no column, so it is the same in every row; leave it out",
            )
        if any(map(_is_offset, (*nodes, *by))):
            if len(nodes) > 1 or by:
                return None, (f"{term.name}: an offset has no coefficient, so it stands alone",)
            offsets.append(written(nodes[0].args[0]))
            continue
        if computed := [n for n in by if getattr(n, "callee", "C") != "C"]:
            return None, (f"{term.name}: groups are columns, {written(computed[0])} found",)
        printed = tuple(str(c.name) for c in components)
        raw.append((term.name, tuple(map(written, nodes)), tuple(map(written, by)), printed))
    if not raw:
        return None, ("no term is left that has a coefficient; 1 is the intercept",)
    twice = [n for i, (n, *_) in enumerate(raw) if n in [m for m, *_ in raw[:i]]]
    if twice:
        return None, (f"two terms are printed as {quoted(twice[0])}; write one of them in another way",)
    named = suffixes((parts, by) for _, parts, by, _ in raw)
    terms = tuple(Term(*one, suffix) for one, suffix in zip(raw, named, strict=True))
    return Formula(terms, tuple(offsets), tuple(dict.fromkeys(read))), ()


def _is_offset(node: Any) -> bool:
    return getattr(node, "callee", None) == "offset"


def _node(component: Any) -> Any:
    """A component's lazy call, or a variable, which has a name all the same."""
    return getattr(component, "call", component)
