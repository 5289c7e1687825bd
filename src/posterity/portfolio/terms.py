"""The terms on which posteriors become priors: discounted, capped in rows, made robust."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from posterity.errors import ModelError
from posterity.inference.effective_rows import cap, effective_rows, moment_rows, morita_rows
from posterity.inference.mixture import Mixture
from posterity.inference.unit_information import vague
from posterity.portfolio.prior import Prior, Provenance
from posterity.portfolio.structure import Structure

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Carried:
    """What a source gives: a mixture over `entries` of θ, who made it, and the declared sds there (D,).

    `partial` are the positions that may be widened: shared entries have no spread to lose. `information`
    (D, D) is that of one row.
    """

    source: str
    entries: tuple[str, ...]
    mixture: Mixture
    information: Floats
    declared_sd: Floats
    provenance: Provenance
    partial: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    doubts: tuple[str, ...] = ()

    @property
    def own(self) -> NDArray[np.int64]:
        """Positions that may be widened: all of them unless said otherwise."""
        return self.partial if len(self.partial) else np.arange(len(self.entries))


@dataclass(frozen=True)
class Terms:
    """A configuration's: weight of the vague component, most rows a prior may count for, and its model."""

    robust: float
    most: float | None
    structure: Structure

    def of_population(self, given: Carried) -> Prior:
        """A population's prior: rows counted by ELIR, capped, made robust."""
        own, mixture, provenance = given.own, given.mixture, given.provenance
        block = given.information[np.ix_(own, own)]
        ess: dict[str, float] = {}
        try:
            if self.most is not None:
                mixture = cap(mixture, given.information, self.most, own)
            marginal = mixture.select(own)
            ess = {
                "elir": effective_rows(marginal, block),
                "moment": moment_rows(marginal, block),
                "morita": morita_rows(marginal, block),
            }
        except ModelError as error:
            if self.most is not None:
                raise
            provenance = replace(provenance, notes=(*provenance.notes, str(error)))
        carried = replace(given, mixture=mixture, provenance=provenance)
        return self._robust(carried, ess.get("elir"), ess)

    def of_one(self, given: Carried, rows: float, discount: float) -> Prior:
        """A prior from one posterior that `rows` rows made: a power prior (Ibrahim & Chen, Statistical
        Science 15:46, 2000), its covariance divided by the discount.

        Its rows are counted, not estimated: those that made it, times the discount.
        """
        worth = rows * discount
        if self.most is not None and worth > self.most:
            discount = self.most / rows
        widened = given.mixture.spread(1 / np.sqrt(discount))
        provenance = replace(given.provenance, discount=given.provenance.discount * discount)
        return self._robust(replace(given, mixture=widened, provenance=provenance), rows * discount, {})

    def _robust(self, given: Carried, rows: float | None, ess: Mapping[str, float]) -> Prior:
        """With a vague component (Schmidli et al., Biometrics 70:1023, 2014)."""
        mixture = given.mixture
        if self.robust > 0:
            wide = mixture.covariance.copy()
            block = np.ix_(given.own, given.own)
            limit = np.diag(given.declared_sd[given.own] ** 2)
            wide[block] = vague(given.information[block], limit, wide[block])
            mixture = mixture.joined(self.robust, mixture.mean, wide)
        return Prior(
            source=given.source,
            entries=given.entries,
            mixture=mixture,
            vague=self.robust,
            rows=rows if rows is not None and np.isfinite(rows) else None,
            model=self.structure.key,
            ess={name: value for name, value in ess.items() if np.isfinite(value)},
            provenance=given.provenance,
            structure=self.structure,
            doubts=given.doubts,
        )
