"""One entity's posterior by the configured method, with escalation where a certificate fails."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from posterity.config.schema import Gates, Inference
from posterity.inference import adaptive, advi, laplace, nuts
from posterity.inference.compiled import CompiledModel, Inputs
from posterity.inference.gates import open_gates
from posterity.inference.mode import modes
from posterity.inference.posterior import Failure, Floats, Posterior

METHODS = ("auto", "laplace", "nuts", *advi.METHODS)
"""Methods for one entity at a time; the others are for joint models."""
STARTS = 32
"""Prior draws among which mode searches find their starts."""
TUNE = 300
CAREFUL_ACCEPT = 0.95
"""Acceptance target of the second NUTS run."""
CAREFUL_TUNE = 3
CAREFUL_THIN = 4
"""The second run also tunes three times as long and keeps every fourth draw."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """Independent streams of one entity, so that escalating leaves the draws of every method what they
    were.
    """

    laplace: np.random.SeedSequence
    adaptive: np.random.SeedSequence
    nuts: np.random.SeedSequence
    careful: np.random.SeedSequence
    predict: np.random.SeedSequence
    conflict: np.random.SeedSequence
    advi: np.random.SeedSequence

    @classmethod
    def of(cls, root: int, key: str) -> "Seeds":
        """Seeds of the entity with digest `key` (hex) under the configuration's root seed."""
        words = [int(key[i : i + 8], 16) for i in range(0, 32, 8)]
        # New streams come last: a child depends on its place alone, so the others stay what they are.
        return cls(*np.random.SeedSequence([root, *words]).spawn(7))


def fit(
    model: CompiledModel, inputs: Inputs, starts: Floats, seeds: Seeds, inference: Inference, gates: Gates
) -> Posterior | Failure:
    """The posterior of one entity; Failure where no method gives one.

    `auto` tries laplace, adaptive importance sampling, nuts, and nuts with a higher acceptance target, longer
    tuning and thinning; the first whose gates are all closed is returned, else the last that gave draws at
    all (which its gates then flag).
    """
    if inference.method in advi.METHODS:
        return advi.fit(model, inputs, starts, seeds.advi, inference, gates)
    found = modes(model, inputs, starts)
    size = {"draws": inference.draws, "chains": inference.chains}
    begin = np.array([mode.theta for mode in found]) if found else starts[:1]
    tune = TUNE if inference.tune == "auto" else inference.tune

    def by_laplace() -> Posterior | Failure:
        return laplace.fit(model, inputs, found, np.random.default_rng(seeds.laplace), **size)

    def by_nuts() -> Posterior | Failure:
        accept = inference.target_accept
        return nuts.fit(model, inputs, begin, seeds.nuts, tune=tune, target_accept=accept, **size)

    def by_careful_nuts() -> Posterior | Failure:
        accept = max(CAREFUL_ACCEPT, inference.target_accept)
        careful: dict[str, Any] = {"tune": CAREFUL_TUNE * tune, "target_accept": accept, "thin": CAREFUL_THIN}
        return nuts.fit(model, inputs, begin, seeds.careful, **careful, **size)

    def by_adaptive() -> Posterior | Failure:
        return adaptive.fit(model, inputs, found, np.random.default_rng(seeds.adaptive), **size)

    ladders = {
        "laplace": (by_laplace,),
        "nuts": (by_nuts,),
        "auto": (by_laplace, by_adaptive, by_nuts, by_careful_nuts),
    }
    tried: list[str] = []
    last: Posterior | Failure = Failure("nothing was tried")
    for attempt in ladders[inference.method]:
        outcome = attempt()
        reasons = (outcome.reason,) if isinstance(outcome, Failure) else open_gates(outcome, gates)
        if isinstance(outcome, Posterior) or isinstance(last, Failure):
            last = outcome
        if not reasons:
            break
        tried.append(f"{outcome.method}: {'; '.join(reasons)}")
    return replace(last, tried=tuple(tried))
