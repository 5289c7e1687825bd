"""A transferred prior as a value."""

from dataclasses import replace

import numpy as np

from posterity.inference.mixture import Mixture
from posterity.portfolio.prior import Prior, Provenance, Window

PRIOR = Prior(
    source="population",
    entries=("rate_log__", "top"),
    mixture=Mixture.gaussian(np.zeros(2), np.eye(2)),
    vague=0.1,
    rows=8.0,
    model="a" * 64,
)


def test_key_is_of_what_a_fit_depends_on() -> None:
    assert replace(PRIOR, source="previous", provenance=Provenance(run="other"), rows=3.0).key == PRIOR.key
    other = [
        replace(PRIOR, mixture=PRIOR.mixture.spread(1.001)),
        replace(PRIOR, entries=("rate_log__", "bottom")),
        replace(PRIOR, model="b" * 64),
    ]
    assert len({PRIOR.key, *(prior.key for prior in other)}) == 4


def test_many_teachers_are_counted_and_digested_instead_of_listed() -> None:
    keys = tuple(f"{i:064x}" for i in range(5_000))
    told = Provenance(taught_by=keys, entities=keys, windows=(Window(1, 52, 52),) * 5_000)
    brief = told.brief(10)
    assert brief.taught_by == keys[:10]
    assert len(brief.entities) == len(brief.windows) == 10
    assert "5,000 fits, 260,000 rows" in brief.notes[0]
    assert brief.notes != replace(told, taught_by=keys[::-1]).brief(10).notes
    assert PRIOR.provenance.brief() is PRIOR.provenance
