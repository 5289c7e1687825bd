"""Which names priors, quantities and the likelihood read, and whether these may be read there."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from posterity.config import expressions, families, limits
from posterity.config.curves import BUILTIN_CURVES
from posterity.config.distributions import DISTRIBUTIONS, VECTOR_KWARGS, Distribution
from posterity.config.families import Described, Raw, mapping
from posterity.config.findings import Finding, Path
from posterity.config.scope import Scope
from posterity.config.words import listed, meant, quoted

FORMS = ("function", "expression", "formula")
"""What a quantity may be."""


def findings(model: Raw, scope: Scope) -> Iterator[Finding]:
    """Names that are read where they cannot be; notes in `scope` what is used and what is taken for a
    column."""
    yield from _parameters(scope)
    yield from _quantities(scope)
    yield from _likelihood(model, scope)


def _parameters(scope: Scope) -> Iterator[Finding]:
    """Strings in priors name parameters that stand further up."""
    earlier: dict[str, Described] = {}
    for name, one in scope.parameters.items():
        for inner in _with_nested(one):
            yield from _prior_names(inner, name, earlier, scope)
        earlier[name] = one
    for name, one in scope.inner.items():
        for inner in _with_nested(one):
            yield from _prior_names(inner, name, earlier, scope)


def _with_nested(one: Described) -> Iterator[Described]:
    yield one
    for kwarg, value in one.kwargs.items():
        if isinstance(value, Mapping):
            yield from _with_nested(Described((*one.path, one.key, kwarg), value, "nested", one.spec))


def _prior_names(
    one: Described, owner: str, earlier: Mapping[str, Described], scope: Scope
) -> Iterator[Finding]:
    family = DISTRIBUTIONS.get(str(one.spec.get("dist")))
    for kwarg, word in one.kwargs.items():
        if not isinstance(word, str):
            continue
        place = (*one.path, one.key, kwarg)
        scope.used.add(word)
        if word == owner:
            yield Finding(place, f"{word!r} is this parameter itself; a prior cannot depend on its own value")
        elif word in earlier:
            if extra := [dim for dim in earlier[word].dims if dim not in one.dims]:
                yield Finding(
                    place,
                    f"{word!r} has the dimension {listed(extra)}, which this prior lacks; add it to dims",
                )
            yield from _misfit(earlier[word], family, kwarg, place)
        elif word in scope.parameters:
            yield Finding(place, f"{word!r} stands further down; move it above (and not in a circle)")
        else:
            yield Finding(place, f"{quoted(word)} is {_what(word, scope)}; {_prior_hint(word, earlier)}")


def _misfit(named: Described, family: Distribution | None, kwarg: str, place: Path) -> Iterator[Finding]:
    if family is None or kwarg not in family.kwargs:
        return
    domain = family.domain(kwarg)
    if flaw := families.misfit(families.bounds(named.spec), domain):
        yield Finding(place, f"{named.path[-1]!r} found; {kwarg} of {family.name} is {domain.value}, {flaw}")


def _prior_hint(word: str, earlier: Mapping[str, Described]) -> str:
    try:
        number = float(word)
    except ValueError:
        allowed = (
            f"a number, a nested prior or a parameter further up ({listed(earlier)})"
            if earlier
            else "a number or a nested prior"
        )
        return f"allowed here: {allowed}{meant(word, earlier)}"
    return f"did you mean the number {number:g}? then leave the quotes out"


def _what(word: str, scope: Scope) -> str:
    if word in scope.quantities or word in scope.history:
        return "a quantity, which differs by row"
    if word in scope.inner:
        return "declared inside the likelihood"
    if word in (scope.target, scope.time, *scope.entity):
        return "a column, which differs by row"
    return "no parameter"


def _quantities(scope: Scope) -> Iterator[Finding]:
    uses: dict[str, set[str]] = {}
    reports: list[tuple[str, str, Path]] = []
    for name, spec in scope.quantities.items():
        path: Path = ("model", "quantities", name)
        if not isinstance(spec, Mapping):
            continue
        function, expression = spec.get("function"), spec.get("expression")
        found = [form for form in FORMS if spec.get(form) is not None]
        if len(found) != 1:
            words = "neither found" if not found else "both found" if len(found) == 2 else "all found"
            yield Finding(path, f"{words}; a quantity has one of {listed(FORMS)}", at_key=True)
            continue
        if found == ["formula"]:
            uses[name] = set()
            continue
        if isinstance(expression, str):
            if spec.get("arguments"):
                yield Finding(
                    (*path, "arguments"), "only functions have arguments; an expression names what it uses"
                )
            tree, flaws = expressions.examine(expression)
            yield from (Finding((*path, "expression"), flaw) for flaw in flaws)
            if tree is not None:
                yield from _indexed(tree, (*path, "expression"), scope)
                uses[name] = set(expressions.names(tree))
                reports += [(name, word, (*path, "expression")) for word in sorted(uses[name])]
        elif isinstance(function, str):
            yield from _function(name, spec, function, path, scope)
            read = arguments(function, mapping(spec.get("arguments")), scope.time)
            uses[name] = set(read.values())
            for argument, word in read.items():
                explicit = argument in mapping(spec.get("arguments"))
                reports.append(
                    (name, word, (*path, "arguments", argument) if explicit else (*path, "function"))
                )
    yield from _order(uses, reports, scope)


def arguments(function: str, given: Mapping[str, Any], time: str | None) -> dict[str, str]:
    """Argument -> name it reads. The arguments of a function of your own are those given; Python knows
    the others."""
    named = {argument: word for argument, word in given.items() if isinstance(word, str)}
    if function not in BUILTIN_CURVES:
        return named
    defaults = {argument: argument for argument in BUILTIN_CURVES[function] if argument != "x"}
    if time is not None:
        defaults = {"x": time} | defaults
    return {k: v for k, v in (defaults | named).items() if k in BUILTIN_CURVES[function]}


def _function(name: str, spec: Raw, function: str, path: Path, scope: Scope) -> Iterator[Finding]:
    given = mapping(spec.get("arguments"))
    if function not in BUILTIN_CURVES:
        scope.opaque = True
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", function):
            hint = meant(function, BUILTIN_CURVES)
            if not hint and re.fullmatch(r"[\w.]+\.\w+", function):
                hint = f"; did you mean {':'.join(function.rsplit('.', 1))!r}?"
            yield Finding(
                (*path, "function"),
                f"no function {quoted(function)}; allowed: {listed(BUILTIN_CURVES, 'and')} are built in, "
                f"your own is `package.module:function`{hint}",
            )
        return
    known = BUILTIN_CURVES[function]
    for argument in given:
        if argument not in known:
            yield Finding(
                (*path, "arguments", argument),
                f"{function} has no argument {quoted(argument)}; allowed: "
                f"{listed(known)}{meant(argument, known)}",
                at_key=True,
            )
    if "x" in known and "x" not in given and scope.time is None and function != "constant":
        yield Finding(
            (*path, "function"),
            f"{function} needs x, and data.time is missing; name the time column there, or write "
            f"`arguments: {{x: COLUMN}}`",
        )
    for argument, word in arguments(function, given, scope.time).items():
        if dims := scope.dims(word):
            place = (*path, "arguments", argument) if argument in given else (*path, "function")
            yield Finding(place, _vector(word, dims))


def _vector(word: str, dims: tuple[str, ...]) -> str:
    return f"{word!r} is a vector; pick the row's entry in an expression: `{word}[{', '.join(dims)}]`"


def _indexed(tree: Any, path: Path, scope: Scope) -> Iterator[Finding]:
    for word in sorted(expressions.bare_names(tree)):
        if dims := scope.dims(word):
            yield Finding(path, _vector(word, dims))
    for subscript in expressions.subscripts(tree):
        dims = scope.dims(subscript.name)
        if not dims:
            vectors = [name for name in scope.parameters if scope.dims(name)]
            hint = meant(subscript.name, vectors) or "; give its prior `dims` to make it one"
            yield Finding(path, f"{subscript.name!r} is indexed, but no parameter with dims{hint}")
            continue
        if len(subscript.indices) != len(dims):
            yield Finding(
                path,
                f"{subscript.name!r} has {len(dims)} dims ({listed(dims, 'and')}), {len(subscript.indices)} "
                "indices found",
            )
            continue
        for index, dim in zip(subscript.indices, dims, strict=True):
            if flaw := _index_flaw(index, dim, scope):
                yield Finding(path, f"{subscript.name}[...]: {flaw}")


def _index_flaw(index: expressions.Index, dim: str, scope: Scope) -> str | None:
    labels = scope.coords.get(dim)
    known = list(labels) if isinstance(labels, list | tuple) else None
    match index:
        case str() if known is not None and index not in [str(label) for label in known]:
            return f"{dim} has no label {index!r}; allowed: {listed(known[:20])}{meant(index, known)}"
        case int() if known is not None and index >= len(known):
            return f"{dim} has {len(known)} labels, so positions 0 to {len(known) - 1}; {index} found"
        case str() | int():
            return None
    word = index.id
    if any(word in names for names in (scope.parameters, scope.quantities, scope.history, scope.inner)):
        return f"{word!r} is a parameter or quantity; an index is a column that holds labels of {dim}"
    return None


def _order(
    uses: dict[str, set[str]], reports: list[tuple[str, str, Path]], scope: Scope
) -> Iterator[Finding]:
    positions = {name: number for number, name in enumerate(scope.quantities)}
    for name, word, path in reports:
        scope.used.add(word)
        if word == name:
            yield Finding(
                path,
                f"{word!r} is this quantity itself; if a column is meant, give the quantity another name",
            )
        elif word in scope.quantities:
            if positions[word] < positions[name]:
                continue
            circle = _way(uses, word, name)
            if circle:
                yield Finding(path, f"quantities go in a circle: {' uses '.join([name, *circle])}; break it")
            else:
                yield Finding(path, f"{word!r} stands further down; move it above {name!r}")
        elif word == scope.target and word not in scope.parameters:
            yield Finding(path, f"{word!r} is the target, which cannot explain itself; use another column")
        elif word in scope.inner and word not in scope.parameters:
            yield Finding(
                path,
                f"{word!r} is declared inside the likelihood; declare it under model.parameters to use it "
                "here",
            )
        elif word not in scope.parameters and word not in scope.history:
            scope.strangers.add(word)


def _way(uses: dict[str, set[str]], start: str, goal: str) -> list[str] | None:
    """Quantities from `start` to `goal`, each using the next; None if there is no way of fifty steps."""
    ways, seen = [[start]], {start}
    for _ in range(50):
        reached = next((way for way in ways if way[-1] == goal), None)
        if reached is not None:
            return reached
        longer = []
        for way in ways:
            fresh = sorted(uses.get(way[-1], set()) - seen)
            seen.update(fresh)
            longer += [[*way, word] for word in fresh]
        ways = longer
    return None


def _likelihood(model: Raw, scope: Scope) -> Iterator[Finding]:
    raw = mapping(model.get("likelihood"))
    path: Path = ("model", "likelihood")
    one = Described(path, raw, "likelihood")
    family = DISTRIBUTIONS.get(str(raw.get("dist")))
    vectors = VECTOR_KWARGS.get(family.name, frozenset()) if family else frozenset()
    for kwarg, word in one.kwargs.items():
        if not isinstance(word, str):
            continue
        place = (*path, one.key, kwarg)
        scope.used.add(word)
        if word == scope.target:
            yield Finding(
                place,
                f"{word!r} is the target, which cannot explain itself; use a quantity, parameter or column",
            )
        elif word in scope.inner and word not in scope.parameters:
            yield Finding(
                place, f"{word!r} is declared beside it; declare it under model.parameters to use it twice"
            )
        elif word in scope.parameters:
            if (dims := scope.dims(word)) and kwarg not in vectors:
                yield Finding(place, f"{_vector(word, dims)}, and name that quantity here")
            yield from _misfit(scope.parameters[word], family, kwarg, place)
        elif word not in scope.quantities and word not in scope.history:
            scope.strangers.add(word)
            if family and _numeric(word):
                yield Finding(
                    place, f"{quoted(word)} found; did you mean the number? then leave the quotes out"
                )
    yield from limits.findings(raw, scope)
    if raw.get("errors") is not None and scope.time is None:
        yield Finding(
            (*path, "errors"),
            "errors that depend on the row before need data.time, which orders the rows",
            at_key=True,
        )
    if raw and not scope.parameters and not scope.inner:
        yield Finding(
            path, "the model has no parameter, so there is nothing to learn; give one a prior", at_key=True
        )


def _numeric(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def unused(scope: Scope) -> Iterator[Finding]:
    """Parameters that nobody reads.

    Nearly always that is a misspelt name elsewhere, which was then taken for a column.
    """
    if scope.opaque:
        return
    for name, one in scope.parameters.items():
        if name not in scope.used:
            hint = meant(name, scope.strangers).replace("did you mean", "is it meant by")
            yield Finding(
                one.path,
                f"no prior, quantity or likelihood uses {name!r}; use it or leave it out{hint}",
                at_key=True,
            )
