"""Every gate opens at its own bound, says so in a sentence, and none opens for what does not apply."""

import numpy as np
import pytest

from posterity.config.schema import Gates
from posterity.inference.gates import khat_bound, open_gates
from posterity.inference.posterior import Diagnostics, Posterior

SOUND = {
    "ess_bulk": np.array([900.0, 1200.0]),
    "ess_tail": np.array([700.0, 800.0]),
    "rhat": np.array([1.001, 1.002]),
    "bfmi": 0.9,
}
NONE = np.full(2, np.nan)


def opened(gates: Gates | None = None, **changed) -> tuple[str, ...]:
    posterior = Posterior(
        "nuts", np.zeros((4, 500, 2)), np.zeros((4, 500, 2)), Diagnostics(**SOUND | changed)
    )
    return open_gates(posterior, gates or Gates())


CASES = {
    "k-hat": ({"khat": 0.71}, ["k-hat 0.71 is above 0.70"]),
    "R-hat": ({"rhat": np.array([1.0, 1.02])}, ["R-hat 1.020 is above 1.01"]),
    "R-hat of a stuck chain": ({"rhat": np.array([1.0, np.nan])}, ["R-hat"]),
    "bulk": ({"ess_bulk": np.array([399.0, 900.0])}, ["bulk ESS 399 is below 400"]),
    "tail": ({"ess_tail": np.array([900.0, 12.0])}, ["tail ESS 12 is below 400"]),
    "no ESS": ({"ess_bulk": np.array([900.0, np.nan])}, ["bulk ESS"]),
    "divergences": ({"divergences": 3}, ["3 divergent transitions, more than 0"]),
    "BFMI": ({"bfmi": 0.1}, ["BFMI 0.10 is below 0.2"]),
    "several": ({"khat": 2.0, "divergences": 1}, ["k-hat 2.00", "1 divergent"]),
    "sound": ({}, []),
    "importance sample": ({"rhat": NONE, "bfmi": np.nan, "khat": 0.69}, []),
    "Markov chain": ({"khat": np.nan}, []),
}


@pytest.mark.parametrize("name", CASES)
def test_gate(name: str) -> None:
    changed, sentences = CASES[name]
    found = opened(**changed)
    assert len(found) == len(sentences)
    assert all(wanted in sentence for wanted, sentence in zip(sentences, found, strict=True))


def test_bounds_are_the_configurations() -> None:
    wide = Gates(rhat=1.1, ess=10, divergences=5, khat=1.0, bfmi=0.0)
    assert (
        opened(wide, rhat=np.array([1.05, 1.0]), ess_tail=np.array([11.0, 11.0]), divergences=5, bfmi=0.1)
        == ()
    )


@pytest.mark.parametrize(("size", "bound"), [(100, 0.5), (1_000, 2 / 3), (4_000, 0.7), (5, 0.0397)])
def test_bound_on_khat_grows_with_the_sample(size: int, bound: float) -> None:
    assert khat_bound(size, 0.7) == pytest.approx(bound, abs=1e-3)
