"""What the transfer and inference sections say of the model's names, and of each other."""

from collections.abc import Iterator, Mapping
from typing import Any

from posterity.config import families
from posterity.config.distributions import DISTRIBUTIONS
from posterity.config.families import Described, Raw, mapping, words
from posterity.config.findings import Finding, Path
from posterity.config.scope import Scope
from posterity.config.transfer import KINDS, SPREADS
from posterity.config.words import listed, meant, quoted

SEPARATE = ("auto", "laplace", "nuts", "advi", "fullrank_advi")
JOINT = ("nuts", "pathfinder", "advi", "fullrank_advi", "dadvi")
MINIBATCH = ("advi", "fullrank_advi")
WORDS = ("population", "declared", *KINDS)
MATCHED = ("portfolio", "previous")
DISCOUNTED = KINDS


def findings(value: Raw, scope: Scope) -> Iterator[Finding]:
    """What is wrong with pooling, groups, spreads and rules."""
    inference, transfer = mapping(value.get("inference")), mapping(value.get("transfer"))
    yield from _joint(inference, transfer, mapping(value.get("model")))
    pool = mapping(transfer.get("pool"))
    yield from _within(pool, scope)
    yield from _roles(pool, scope)
    yield from _spreads(pool, scope)
    rules = transfer.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list | tuple) else ()):
        yield from _rule(mapping(rule), ("transfer", "rules", number), scope)


def _joint(inference: Raw, transfer: Raw, model: Raw) -> Iterator[Finding]:
    method, pooling = inference.get("method", "auto"), inference.get("pooling", "separate")
    place: Path = ("inference", "method" if "method" in inference else "pooling")
    if pooling == "separate" and method in JOINT and method not in SEPARATE:
        yield Finding(
            place,
            f"{method} is for joint models; one entity at a time takes {listed(SEPARATE)}, "
            "and `pooling: joint` makes the model joint",
        )
    if pooling == "joint" and method in SEPARATE and method not in JOINT:
        yield Finding(place, f"{method} is for one entity at a time; a joint model takes {listed(JOINT)}")
    if inference.get("minibatch") is not None and method not in MINIBATCH:
        yield Finding(
            ("inference", "minibatch"),
            f"minibatches are for {listed(MINIBATCH)}; leave it out",
            at_key=True,
        )
    elif inference.get("minibatch") is not None and (found := _looking_back(model)):
        yield Finding(
            ("inference", "minibatch"),
            f"a minibatch takes rows in any order, and {found} makes them depend on rows before; "
            "leave it out",
            at_key=True,
        )
    for path in (("pool", "within"), ("rules",)) if pooling == "joint" else ():
        outer = mapping(transfer.get(path[0])) if len(path) > 1 else transfer
        if outer.get(path[-1]):
            yield Finding(
                ("transfer", *path),
                "a joint model has one population, from which everyone learns; leave this out, or take "
                "`pooling: separate`",
                at_key=True,
            )


def _looking_back(model: Raw) -> str | None:
    """What makes rows depend on rows before them."""
    if mapping(mapping(model.get("likelihood")).get("errors")):
        return "`errors`"
    if mapping(model.get("build")).get("lookback"):
        return "`lookback`"
    return "`history`" if mapping(model.get("history")) else None


def _within(pool: Raw, scope: Scope) -> Iterator[Finding]:
    for path, name in _each(pool, "within"):
        if name not in scope.entity:
            yield Finding(
                path,
                f"{name!r} is no entity column; populations are made within {listed(scope.entity)}"
                f"{meant(name, scope.entity)}",
            )


def _roles(pool: Raw, scope: Scope) -> Iterator[Finding]:
    for key in ("shared", "independent"):
        for path, name in _each(pool, key):
            yield from _parameter(path, name, scope)
    shared, independent = words(pool.get("shared")), set(words(pool.get("independent")))
    for path, name in _each(pool, "shared"):
        if name in independent:
            yield Finding(path, f"{name!r} is independent too; a parameter is either shared or independent")
    if (shared or independent) and set(_known(scope)) <= {*shared, *independent}:
        key = "shared" if shared else "independent"
        yield Finding(
            ("transfer", "pool", key),
            "no parameter is left that differs between entities and learns; leave one out here",
        )
    yield from _orphans(independent, scope)


def _orphans(independent: set[str], scope: Scope) -> Iterator[Finding]:
    """Independent parameters that only the declared prior of a transferred one reads: data would say nothing
    about them once that prior is replaced.
    """
    for name, one in {**scope.parameters, **scope.inner}.items():
        if name in independent:
            continue
        for word in _read_by(one):
            if word in independent:
                yield Finding(
                    ("transfer", "pool", "independent"),
                    f"{word!r} is read by the prior of {name!r}, which transfer replaces; make {name!r} "
                    f"independent as well, or leave {word!r} out",
                )


def _read_by(one: Described) -> Iterator[str]:
    for value in one.kwargs.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _read_by(Described(one.path, value, "nested"))


def _spreads(pool: Raw, scope: Scope) -> Iterator[Finding]:
    for name, spec in mapping(pool.get("spread")).items():
        path: Path = ("transfer", "pool", "spread", name)
        yield from _parameter(path, name, scope, at_key=True)
        for key in ("shared", "independent"):
            if name in words(pool.get(key)):
                yield Finding(path, f"{name!r} is {key}, so it has no spread; leave one out", at_key=True)
        one = Described(path, mapping(spec), "parameter")
        dist = one.spec.get("dist")
        if isinstance(dist, str) and dist not in SPREADS:
            hint = families.unknown(dist) if dist not in DISTRIBUTIONS else f"{dist} found"
            yield Finding((*path, "dist"), f"{hint}; a spread is one of {listed(SPREADS)}")
            continue
        yield from families.flaws(one)
        for key in ("dims", "transform", "centered"):
            if key in one.spec:
                yield Finding((*path, key), "a spread is one plain number; leave this out", at_key=True)
        for kwarg, value in one.kwargs.items():
            if isinstance(value, str | Mapping | list | tuple):
                yield Finding((*path, one.key, kwarg), f"{quoted(value)} found; a spread takes numbers")


def _rule(rule: Raw, path: Path, scope: Scope) -> Iterator[Finding]:
    source = rule.get("from")
    kinds = [kind for kind in KINDS if mapping(source).get(kind) is not None]
    if isinstance(source, Mapping) and len(kinds) != 1:
        found = f"{listed(kinds, 'and')} found" if kinds else "nothing found"
        yield Finding((*path, "from"), f"{found}; a rule has one source: {listed(KINDS)}")
    parent = mapping(source).get("entity")
    if isinstance(parent, str) and parent in words(rule.get("learn")):
        yield Finding((*path, "from", "entity"), f"{parent!r} cannot learn from itself; name another entity")
    word = kinds[0] if len(kinds) == 1 else source
    for key, default, able in (("match", {}, MATCHED), ("discount", 1, DISCOUNTED)):
        if rule.get(key, default) != default and word in WORDS and word not in able:
            yield Finding((*path, key), f"has no meaning for {word}; it is for {listed(able)}", at_key=True)
    for name in mapping(rule.get("match")):
        yield from _parameter((*path, "match", name), name, scope, at_key=True)


def _each(section: Raw, key: str) -> Iterator[tuple[Path, str]]:
    """Names under a key, each with its place; repeated ones are found here."""
    value: Any = section.get(key)
    for number, name in enumerate(words(value)):
        yield ("transfer", "pool", key, *(() if isinstance(value, str) else (number,))), name


def _parameter(path: Path, name: str, scope: Scope, at_key: bool = False) -> Iterator[Finding]:
    if name not in _known(scope):
        yield Finding(
            path,
            f"{quoted(name)} is no parameter; allowed: {listed(_known(scope))}{meant(name, _known(scope))}",
            at_key=at_key,
        )


def _known(scope: Scope) -> list[str]:
    return [*scope.parameters, *scope.inner]
