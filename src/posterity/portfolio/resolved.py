"""What the entities of a wave learn from: the priors, who has which, and who has another than was meant."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from posterity.inference.mixture import Mixture
from posterity.portfolio.prior import Prior, Provenance, Window
from posterity.portfolio.store import atomic

ENDING = ".priors.json"


@dataclass(frozen=True)
class Resolved:
    """`priors` by key; `of` the key of every entity's prior, "" for the declared one; `notes` say of an
    entity why it has a fallback.
    """

    priors: Mapping[str, Prior] = field(default_factory=dict)
    of: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def save(folder: Path, name: str, resolved: Resolved) -> None:
    """Keep what a wave resolved to beside its parts: a run that goes on later must know it too."""
    content = {"priors": [to_dict(p) for p in resolved.priors.values()], "notes": dict(resolved.notes)}
    with atomic(folder / f"{name}{ENDING}") as file:
        file.write(json.dumps(content).encode())


def load(folder: Path) -> Resolved:
    """Priors and notes of every wave, without saying who has which: the parts do."""
    priors: dict[str, Prior] = {}
    notes: dict[str, str] = {}
    for path in sorted(folder.glob(f"*{ENDING}")):
        content = json.loads(path.read_bytes())
        priors |= {prior.key: prior for prior in map(from_dict, content["priors"])}
        notes |= content["notes"]
    return Resolved(priors, {}, notes)


def to_dict(prior: Prior) -> dict[str, Any]:
    """A prior in plain values, exactly."""
    return {
        **prior.exact,
        "source": prior.source,
        "vague": prior.vague,
        "rows": prior.rows,
        "ess": dict(prior.ess),
        "provenance": asdict(prior.provenance),
        "doubts": list(prior.doubts),
    }


def from_dict(content: Mapping[str, Any]) -> Prior:
    """What `to_dict` wrote."""
    told = content["provenance"]
    lists = {name: tuple(told[name]) for name in ("taught_by", "entities", "notes")}
    windows = tuple(Window(**window) for window in told["windows"])
    return Prior(
        source=content["source"],
        entries=tuple(content["entries"]),
        mixture=Mixture.from_dict(content["mixture"]),
        vague=content["vague"],
        rows=content["rows"],
        model=content["model"],
        ess=content["ess"],
        provenance=Provenance(**{**told, **lists, "windows": windows}),
        doubts=tuple(content["doubts"]),
    )
