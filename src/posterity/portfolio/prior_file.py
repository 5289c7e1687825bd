"""Prior files (`priors/*.yaml`): a transferred prior that people can read and that loads back exactly.

`marginals` are for people; what is used is `joint`, the mixture over `entries` on the unconstrained scale. A
digest over all that decides a fit (entries, joint, vague, model) tells a file that was edited by hand. Files
are untrusted text, read within the limits of configurations: size, depth, no aliases, finite numbers.
"""

import dataclasses
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from posterity.config.findings import MAX_FINDINGS, Finding, Path, dotted
from posterity.config.positions import Document, read
from posterity.config.values import MAX_BYTES, plain
from posterity.config.words import listed, meant, quoted
from posterity.config.writing import as_yaml
from posterity.errors import ConfigError, ModelError, Problem, ResultError
from posterity.inference.mixture import Mixture
from posterity.lineage.hashing import digest
from posterity.models import Description
from posterity.portfolio.prior import Marginal, Prior, Provenance, Window
from posterity.portfolio.prior_sections import FORMAT, SECTIONS, PriorSections
from posterity.portfolio.store import atomic
from posterity.portfolio.structure import Structure, Unknown

_SHORTEST = len("0.0, ")
_HEAD = """\
# A prior of posterity. `marginals` are for reading; a fit uses `joint`, a Gaussian mixture over `entries` on
# the unconstrained scale. Its digest is checked: to change the prior, make a new file.
"""


def dumps(prior: Prior) -> str:
    """The text of a prior's file; `loads` gives the same prior to the last bit.

    A provenance with very many teachers is shortened (`Provenance.brief`). Raises ResultError for a prior
    with numbers that are not finite, and for one too large to be read again.
    """
    if _SHORTEST * prior.mixture.covariances.size > MAX_BYTES:
        raise _too_large(prior)
    values, findings = plain({"format": FORMAT, **_values(prior)})
    if findings:
        flaws = "; ".join(f"{dotted(f.path)}: {f.message}" for f in findings[:5])
        raise ResultError(f"the prior {prior.source!r} cannot be written: {flaws}")
    text = _HEAD + as_yaml(values)
    if len(text.encode()) > MAX_BYTES:
        raise _too_large(prior)
    return text


def _too_large(prior: Prior) -> ResultError:
    return ResultError(
        f"the prior {prior.source!r} has {len(prior.entries)} entries and {len(prior.mixture.weights)} "
        f"components, more than the {MAX_BYTES:,} bytes of a file hold; transfer fewer parameters"
    )


def save(prior: Prior, path: str | FilePath) -> FilePath:
    """Write a prior file, whole or not at all; returns its path."""
    target = FilePath(path)
    text = dumps(prior)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as file:
        file.write(text.encode())
    return target


def load(path: str | FilePath, model: Description | str | None = None) -> Prior:
    """The prior in a file, and with `model` one that fits it (`check_fits`).

    Raises ConfigError with every problem, each with line and column.
    """
    file, name = FilePath(path), str(path)
    try:
        if file.exists() and not file.is_file():
            raise ConfigError([Problem("is no regular file; give the path of a prior file", f"{name}:")])
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
        raise ConfigError(
            [Problem(f"cannot be read ({reason}); give the path of a prior file", f"{name}:")]
        ) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([Problem(f"more than {MAX_BYTES:,} bytes; no prior file is as large", f"{name}:")])
    prior = loads(text, name)
    if model is not None:
        check_fits(prior, model)
    return prior


def loads(text: str, name: str = "<text>") -> Prior:
    """The prior in a text; `name` stands for the file in messages. Raises ConfigError."""
    document = read(text)
    found, value = list(document.findings), document.value
    sections: PriorSections | None = None
    if not isinstance(value, dict):
        if not found:
            found.append(
                Finding((), f"{quoted(value)} found; a prior file is a mapping with model, joint, ...")
            )
        raise ConfigError(_problems(found, document, name))
    try:
        sections = PriorSections.model_validate(value)
    except ValidationError as error:
        found += [_finding(detail, value) for detail in error.errors(include_url=False)[:MAX_FINDINGS]]
    mixture = None if any(f.path[:1] == ("joint",) for f in found) else _mixture(value, found)
    if found or sections is None or mixture is None:
        raise ConfigError(_problems(found, document, name))
    prior = _prior(sections, mixture)
    if sections.digest != fingerprint(prior):
        message = (
            "is not that of entries, joint, vague and model: the file was edited by hand or is damaged; "
            "export it again, or take it from a copy"
        )
        raise ConfigError(_problems([Finding(("digest",), message)], document, name))
    return prior


def check_fits(prior: Prior, model: Description | str) -> None:
    """Raise ConfigError unless the prior means in this model what it meant where it was made.

    Parameters must agree in name, unconstrained scale and labels of their entries, and curve, likelihood and
    inputs must be the same; declared families may differ, since the prior takes their place. Of a model that
    is given by its key alone the key must be the prior's.
    """
    mine = prior.structure or Structure(prior.model)
    theirs = Structure(model) if isinstance(model, str) else Structure.of(model)
    if differences := mine.differences(theirs):
        message = (
            f"the prior {prior.source!r} does not fit this model: {'; '.join(differences[:10])}. Export one "
            "from a result of this model"
        )
        raise ConfigError([message])


def fingerprint(prior: Prior) -> str:
    """Digest of everything in a prior that decides a fit, or whether it may be used."""
    return digest({**prior.exact, "vague": prior.vague, "structure": _model(prior)})


def _values(prior: Prior) -> dict[str, Any]:
    provenance = dataclasses.asdict(prior.provenance.brief())
    return {
        "model": _model(prior),
        "source": prior.source,
        "marginals": {label: _lean(dataclasses.asdict(m)) for label, m in prior.marginals.items()},
        "entries": list(prior.entries),
        "joint": prior.mixture.to_dict(),
        "vague": float(prior.vague),
        "rows": None if prior.rows is None else float(prior.rows),
        "ess": {name: float(value) for name, value in prior.ess.items()},
        "provenance": _lean(provenance),
        **({"doubts": list(prior.doubts)} if prior.doubts else {}),
        "digest": fingerprint(prior),
    }


def _model(prior: Prior) -> dict[str, Any]:
    structure = prior.structure or Structure(prior.model)
    unknowns = {name: _lean(dataclasses.asdict(u)) for name, u in structure.parameters.items()}
    values = {"key": prior.model, "rest": structure.rest, "parameters": unknowns}
    scales = {name: {"centre": centre, "sd": sd} for name, (centre, sd) in structure.scales.items()}
    ranges = {name: list(ends) for name, ends in structure.ranges.items()}
    return {**values, **({"scales": scales} if scales else {}), **({"ranges": ranges} if ranges else {})}


def _lean(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty; None and zeros stay."""
    return {key: value for key, value in values.items() if value not in ("", (), {}, [])}


def _prior(sections: PriorSections, mixture: Mixture) -> Prior:
    model, provenance = sections.model, sections.provenance
    unknowns = {name: Unknown(u.family, u.scale, u.levels) for name, u in model.parameters.items()}
    scales = {name: (float(s.centre), float(s.sd)) for name, s in model.scales.items()}
    ranges = {name: (float(low), float(high)) for name, (low, high) in model.ranges.items()}
    windows = tuple(Window(w.first_time, w.last_time, w.rows) for w in provenance.windows)
    structure = Structure(model.key, model.rest, unknowns, scales, ranges)
    return Prior(
        source=sections.source,
        entries=sections.entries,
        mixture=mixture,
        vague=float(sections.vague),
        rows=None if sections.rows is None else float(sections.rows),
        model=model.key,
        ess=dict(sections.ess),
        provenance=Provenance(**{**dict(provenance), "windows": windows}),
        structure=structure if model.rest or unknowns else None,
        marginals={label: Marginal(**dict(m)) for label, m in sections.marginals.items()},
        doubts=sections.doubts,
    )


def _mixture(value: dict[str, Any], found: list[Finding]) -> Mixture | None:
    """The mixture of a file whose `joint` has the right types; what is wrong with it goes to `found`."""
    entries = value.get("entries")
    if isinstance(entries, list) and len(set(map(str, entries))) < len(entries):
        found.append(Finding(("entries",), "an entry stands twice; keep one"))
    try:
        mixture = Mixture.from_dict(value["joint"])
    except ModelError as error:
        found.append(Finding(("joint",), str(error)))
        return None
    if isinstance(entries, list) and len(entries) != mixture.dimension:
        found.append(
            Finding(("joint", "means"), f"{mixture.dimension} numbers each, but {len(entries)} entries")
        )
    return mixture


def _finding(detail: Any, value: dict[str, Any]) -> Finding:
    """Pydantic's complaint with what was found and what is allowed."""
    path: list[str | int] = []
    part: Any = value
    for step in detail["loc"]:
        inside = (isinstance(part, dict) and step in part) or (
            isinstance(part, list) and isinstance(step, int) and step < len(part)
        )
        if inside:  # other steps name branches of a union, which are no keys of the file
            path.append(step)
            part = part[step]
    where: Path = tuple(path)
    if detail["type"] == "missing":
        return Finding((*where, str(detail["loc"][-1])), "is missing", at_key=True)
    if detail["type"] == "extra_forbidden":
        section = SECTIONS.get(tuple(map(str, where[:-1])))
        known = list(section.model_fields) if section else []
        hint = f"; allowed: {listed(known)}{meant(str(where[-1]), known)}" if known else ""
        return Finding(where, f"not a known key{hint}", at_key=True)
    if where == ("format",):
        return Finding(where, f"{quoted(part)} found; this version reads {FORMAT}: upgrade posterity")
    return Finding(where, f"{quoted(part)} found; {detail['msg'].replace('Input should', 'it should')}")


def _problems(found: list[Finding], document: Document, name: str) -> list[Problem]:
    placed = [(f.position or document.position(f.path, f.at_key) or (1, 1), f) for f in found]
    return [
        Problem(f"{dotted(f.path)}: {f.message}" if f.path else f.message, f"{name}:{line}:{column}")
        for (line, column), f in sorted(placed, key=lambda item: item[0])
    ]
