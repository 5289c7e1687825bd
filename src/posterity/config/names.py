"""What the names of a configuration mean across its sections: who declares, who uses, in which order.

The checks read the plain values of the file rather than finished sections, so that a mistake in one place
does not hide those in another; whatever has the wrong shape is skipped here, because its shape has been
complained about.
"""

import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from posterity.config import (
    abstain,
    actionable,
    build,
    families,
    history,
    pooling,
    references,
    regression,
    scale,
    smooth_names,
    variables,
    weights,
)
from posterity.config.families import Raw, mapping
from posterity.config.findings import MAX_FINDINGS, Finding, Path
from posterity.config.scope import Scope, scope_of
from posterity.config.words import listed, meant, quoted

RESERVED = ("chain", "draw", "entity")
"""Columns of the table of draws, beside one per parameter."""

RESULT_COLUMNS = (
    "status reason method role n_rows first_time last_time rhat ess_bulk ess_tail divergences bfmi khat "
    "seconds prior "
    "prior_rows conflict_p vague_weight actionable actionable_width fit_key parent_fit_key mae parameter "
    "chain draw accuracy answered accuracy_answered predicted probability abstained"
).split()
"""Columns of a result's tables that stand beside the entity columns."""


def findings(value: Raw, wrong: set[Path]) -> list[Finding]:
    """What is wrong with the names of a configuration; `wrong` are paths that have been complained about."""
    data, model = mapping(value.get("data")), mapping(value.get("model"))
    scope, together = scope_of(data, model), mapping(value.get("inference")).get("pooling")
    parts = (
        _columns(data, scope),
        _declarations(model, scope),
        _coords(scope),
        build.findings(model, scope, together),
        weights.findings(mapping(model.get("likelihood")), scope, together),
        references.findings(model, scope),
        regression.findings(scope),
        smooth_names.findings(model, scope),
        history.findings(scope, together),
        scale.findings(data, model, scope),
        _keep(mapping(value.get("inference"))),
        pooling.findings(value, scope),
        actionable.findings(value, scope),
        abstain.findings(value),
    )
    found = [finding for part in parts for finding in islice(part, MAX_FINDINGS)]
    broken = any(path[:1] == ("model",) for path in [*wrong, *(f.path for f in found)])
    if not broken and "model" in value:
        found += islice(references.unused(scope), MAX_FINDINGS)
        found += islice(history.unused(scope), MAX_FINDINGS)
    return found


def _columns(data: Raw, scope: Scope) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, name in enumerate(scope.entity):
        path: Path = (
            ("data", "entity", number) if not isinstance(data.get("entity"), str) else ("data", "entity")
        )
        if name in seen:
            yield Finding(path, f"{name!r} stands twice; name each column once")
        elif name == scope.target:
            yield Finding(
                path, f"{name!r} is the target; an entity is named by columns that the model does not explain"
            )
        elif name == scope.time:
            yield Finding(path, f"{name!r} is the time column; then every row would be an entity of its own")
        elif name in RESULT_COLUMNS or (name == "entity" and len(scope.entity) > 1):
            yield Finding(path, f"{name!r} is also a column of every result; rename it in the panel")
        seen.add(name)
    if scope.time is not None and scope.time == scope.target:
        yield Finding(
            ("data", "target"), f"{scope.target!r} is the time column too; they are different columns"
        )
    for key in ("time", "target", "source"):
        text = data.get(key)
        if isinstance(text, str) and not text.isprintable():
            yield Finding(
                ("data", key), f"{quoted(text)} holds characters that cannot be printed; leave them out"
            )
    if isinstance(source := data.get("source"), str):
        for sentence in variables.refused(source):
            yield Finding(("data", "source"), sentence)


def _declarations(model: Raw, scope: Scope) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name, what in ((scope.target, "the target column"), (scope.time, "the time column")):
        if name is not None:
            taken.setdefault(name, what)
    taken |= {name: "an entity column" for name in scope.entity if name not in taken}
    dims = {dim for one in families.described(model) for dim in one.dims} | set(scope.coords)
    places: list[tuple[str, Path, str]] = [
        (name, one.path, "a parameter") for name, one in scope.parameters.items()
    ]
    places += [(name, ("model", "history", name), "a part of the history") for name in scope.history]
    places += [(name, ("model", "quantities", name), "a quantity") for name in scope.quantities]
    places += [
        (name, one.path, "a parameter declared inside the likelihood") for name, one in scope.inner.items()
    ]
    for name, path, what in places:
        if what != "a parameter declared inside the likelihood" and (flaw := unfit(name)):
            yield Finding(path, flaw, at_key=True)
        elif name in taken:
            better = (
                "rename that: a prior inside the likelihood has the name of its argument"
                if name in scope.inner and path == scope.inner[name].path
                else f"give {what} another name"
            )
            yield Finding(path, f"{name!r} is already {taken[name]}; {better}", at_key=True)
        elif name in dims:
            yield Finding(path, f"{name!r} is already a dimension; give {what} another name", at_key=True)
        taken.setdefault(name, what)
    for name, path in _implied(model):
        if name in taken:
            yield Finding(
                path,
                f"the value here is stored as {name!r}, which is already {taken[name]}; give that another "
                "name",
                at_key=True,
            )
        taken.setdefault(name, "the value of an inner prior")


def _implied(model: Raw) -> Iterator[tuple[str, Path]]:
    """Names that `pymc_extras.prior` makes: `beta_mu` for the prior of mu inside beta's, `_offset`,
    `_raw`."""
    for one in families.described(model):
        if one.role == "likelihood":
            continue
        steps = [
            s
            for s in one.path
            if s not in ("model", "parameters", "likelihood", "kwargs", "params", "errors", "ar1")
        ]
        name = "_".join(map(str, steps))
        if one.role == "nested":
            yield name, one.path
        if one.spec.get("centered") is False:
            yield f"{name}_offset", one.path
        if one.spec.get("transform") is not None:
            yield f"{name}_raw", one.path


def unfit(name: str) -> str | None:
    """Why a parameter or quantity cannot have this name, or None."""
    if keyword.iskeyword(name):
        better = "lambda_val" if name == "lambda" else f"{name}_"
        return (
            f"{name!r} is a word of Python, so expressions could not use it; write {better!r}, for instance"
        )
    if not name.isidentifier():
        better = re.sub(r"\W+", "_", name).strip("_")
        better = f"_{better}" if better[:1].isdigit() else better
        hint = f"; {better!r} would do" if better.isidentifier() and not keyword.iskeyword(better) else ""
        return f"{quoted(name)} is no name; allowed are letters, digits and _, a letter first{hint}"
    if (normal := unicodedata.normalize("NFKC", name)) != name:
        return f"{name!r} is written with characters that Python reads as {normal!r}; write that"
    if name in RESERVED:
        return f"{name!r} is a column of the table of draws; choose another name"
    if name.endswith("__") or name.startswith("__"):
        return f"{name!r} looks like a name inside PyMC; leave the double underscore out"
    return None


def _coords(scope: Scope) -> Iterator[Finding]:
    dims = {dim for one in scope.parameters.values() for dim in one.dims}
    for name, labels in scope.coords.items():
        path: Path = ("model", "coords", name)
        if name not in dims:
            yield Finding(path, f"no parameter has the dimension {name!r}{meant(name, dims)}", at_key=True)
        texts = [str(label) for label in labels] if isinstance(labels, list | tuple) else []
        if twice := sorted(text for text, count in Counter(texts).items() if count > 1)[:5]:
            yield Finding(path, f"{listed(twice, 'and')} found twice; labels are distinct")
    for one in scope.parameters.values():
        for dim in one.dims:
            if dim == scope.target and dim not in scope.coords:
                yield Finding(
                    (*one.path, "dims"), f"{dim!r} is the target; a dimension is another column or has coords"
                )


def _keep(inference: Raw) -> Iterator[Finding]:
    keep, draws, chains = inference.get("keep"), inference.get("draws", 1000), inference.get("chains", 4)
    if type(keep) is int and type(draws) is int and type(chains) is int and keep > draws * chains > 0:
        yield Finding(
            ("inference", "keep"),
            f"{keep} found, but {chains} chains of {draws} draws give {draws * chains}; keep fewer, or draw "
            "more",
        )
