"""A transferred prior as a value: a Gaussian mixture on the unconstrained scale and where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from posterity.lineage.hashing import digest

if TYPE_CHECKING:
    from posterity.inference.mixture import Mixture
    from posterity.portfolio.structure import Structure

MOST_TEACHERS = 1_000
"""Teachers that a provenance names one by one in a file."""


@dataclass(frozen=True, slots=True)
class Window:
    """The rows behind one teacher: first and last time as ISO text or number (None without a time column)."""

    first_time: str | float | None
    last_time: str | float | None
    rows: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a prior was learned: run, configuration, the fits that taught it and their data windows.

    `entities` and `windows`, where known, go with `taught_by` one by one. `discount` is the power to which
    the teacher's information was raised (1: all of it).
    """

    run: str = ""
    config: str = ""
    taught_by: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()
    notes: tuple[str, ...] = ()
    discount: float = 1.0

    def brief(self, most: int = MOST_TEACHERS) -> "Provenance":
        """The same with at most `most` teachers by name; a note counts the others and digests them all."""
        every = len(self.taught_by)
        if every <= most:
            return self
        rows = f", {sum(w.rows for w in self.windows):,} rows" if self.windows else ""
        note = f"taught by {every:,} fits{rows}; the first {most:,} are listed, all of them digest to "
        return replace(
            self,
            taught_by=self.taught_by[:most],
            entities=self.entities[:most],
            windows=self.windows[:most],
            notes=(*self.notes, note + digest(self.taught_by)),
        )


@dataclass(frozen=True, slots=True)
class Marginal:
    """One scalar parameter under a prior, on its own scale, for people: moments and 5, 50, 95 % points.

    `family` and `kwargs` describe it approximately; empty where none was fitted.
    """

    mean: float
    sd: float
    p5: float
    p50: float
    p95: float
    family: str = ""
    kwargs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Prior:
    """A transferred prior, ready to be used.

    `source` is what tables say of it: "population", "population: north", "entity: P01 / north",
    "file: x.yaml", "portfolio: NAME" or "previous". `entries` are the labels of the transferred θ entries in
    the order of the mixture, which is as used: capped, discounted and robust, with the vague component last
    where `vague`, its weight, is positive. `rows` is how many rows the informative part counts for
    (ELIR; None: unknown) and `ess` the same by each definition: elir, moment, morita. `model` is the key of
    the declared structure, `structure` and `marginals` (by label, `theta[3]`) what a file says of it beyond
    that. `doubts` are gates that its source has open: whoever learns from it is flagged.
    """

    source: str
    entries: tuple[str, ...]
    mixture: "Mixture"
    vague: float
    rows: float | None
    model: str
    ess: Mapping[str, float] = field(default_factory=dict)
    provenance: Provenance = Provenance()
    structure: "Structure | None" = None
    marginals: Mapping[str, Marginal] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Digest of what a fit depends on: entries, mixture and structure."""
        return digest(self.exact)

    @property
    def exact(self) -> dict[str, Any]:
        """What a fit depends on, in plain values."""
        return {"entries": list(self.entries), "mixture": self.mixture.to_dict(), "model": self.model}
