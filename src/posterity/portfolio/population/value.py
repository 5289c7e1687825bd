"""A population: the distribution of entities' parameters, learned from the established ones. A value."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from posterity.errors import ResultError
from posterity.lineage.hashing import digest

type Floats = NDArray[np.float64]

FORMAT = 1
RHAT = 1.05
"""Largest R-hat of a population's chains: it is a few hundred draws of a few dozen numbers."""


@dataclass(frozen=True, eq=False)
class Population:
    """Draws of a population's posterior on the unconstrained scale: θ_e ~ N(mean of its group, LL').

    S draws, p partial entries, k shared ones, G groups (G = 1 and no label: one population). `entries` labels
    the transferred entries of θ in order; `partial` and `shared` are positions among them.
    """

    entries: tuple[str, ...]
    partial: tuple[int, ...]
    shared: tuple[int, ...]
    groups: tuple[str, ...]
    mean: Floats  # (S, p) of all entities
    group_means: Floats  # (S, G, p)
    lower: Floats  # (S, p, p) Cholesky factors of the spread between entities of a group
    between: Floats  # (S, p) sds between groups; (S, 0) for one population
    shared_values: Floats  # (S, k)
    information: Floats  # (D_t, D_t) of one row, on average
    declared_mean: Floats  # (D_t,)
    declared_sd: Floats  # (D_t,)
    covariance: str  # full or diagonal
    khat: float | None  # of the importance sample; None where another method drew
    sweeps: int
    converged: bool
    taught_by: tuple[str, ...]  # fit keys
    teachers: tuple[str, ...]  # their entities
    rows: int
    notes: tuple[str, ...] = ()
    rhat: float | None = None  # the worst of its chains, where NUTS drew

    @property
    def draws(self) -> int:
        """S."""
        return len(self.mean)

    @property
    def sds(self) -> Floats:
        """Sds between entities (S, p)."""
        return np.asarray(np.sqrt((self.lower**2).sum(axis=2)))

    @property
    def correlations(self) -> Floats:
        """Correlations between entries (S, p, p)."""
        unit = self.lower / self.sds[:, :, None]
        return np.asarray(unit @ unit.transpose(0, 2, 1))

    def doubts(self, khat: float) -> tuple[str, ...]:
        """Which certificates fail: k̂ above its gate, or a population that had not settled."""
        found = []
        if self.khat is not None and not self.khat <= khat:
            found.append(f"the population's k-hat {self.khat:.2f} is above {khat:g}")
        if self.rhat is not None and not self.rhat <= RHAT:
            found.append(f"the population's chains disagree: R-hat {self.rhat:.2f} is above {RHAT:g}")
        if not self.converged:
            found.append(f"the population had not settled after {self.sweeps} sweeps")
        return tuple(found)

    def centres(self, group: str | None, rng: np.random.Generator) -> Floats:
        """Draws (S, p) of a group's mean; of a group nobody taught, from the spread between groups."""
        if not self.groups:
            return self.group_means[:, 0]
        if group in self.groups:
            return self.group_means[:, self.groups.index(group)]
        return np.asarray(self.mean + self.between * rng.standard_normal(self.mean.shape))

    def predictive(self, group: str | None, size: int, rng: np.random.Generator) -> Floats:
        """Draws (size, D_t) of a new entity's transferred entries: the meta-analytic-predictive prior
        (Neuenschwander et al., Clinical Trials 7:5, 2010).
        """
        which = np.arange(size) % self.draws
        noise = rng.standard_normal((size, len(self.partial)))
        out = np.empty((size, len(self.entries)))
        moved = np.einsum("sij,sj->si", self.lower[which], noise)
        out[:, list(self.partial)] = self.centres(group, rng)[which] + moved
        out[:, list(self.shared)] = self.shared_values[which]
        return out

    def summary(self) -> list[dict[str, Any]]:
        """One row a quantity: mean and sd of every entry's mean, of its sd between entities (and groups), and
        of the shared parameters.
        """
        rows = []
        for i, position in enumerate(self.partial):
            columns = {"mean": self.mean[:, i], "sd between entities": self.sds[:, i]}
            if self.between.shape[1]:
                columns["sd between groups"] = self.between[:, i]
            rows += [_row(self.entries[position], what, values) for what, values in columns.items()]
        for i, position in enumerate(self.shared):
            rows.append(_row(self.entries[position], "shared value", self.shared_values[:, i]))
        return rows

    def compare(self, other: "Population") -> list[dict[str, Any]]:
        """How far another population is from this one, quantity by quantity: shift in this one's sds and
        ratio of sds. Quantities that only one of them has are left out.
        """
        theirs = {(row["entry"], row["quantity"]): row for row in other.summary()}
        rows = []
        for row in self.summary():
            match = theirs.get((row["entry"], row["quantity"]))
            if match is not None:
                shift = (match["mean"] - row["mean"]) / max(row["sd"], 1e-300)
                ratio = match["sd"] / max(row["sd"], 1e-300)
                rows.append({**row, "other": match["mean"], "shift": shift, "sd_ratio": ratio})
        return rows

    @property
    def digest(self) -> str:
        """SHA-256 of the whole value."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; floats round-trip exactly."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}
        return {"format": FORMAT, "summary": self.summary(), **plain}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; anything else raises ResultError."""
        if content.get("format") != FORMAT:
            raise ResultError(
                f"population: format {content.get('format')!r} found, this version reads {FORMAT}; fit again"
            )
        try:
            given = {f.name: content[f.name] for f in fields(cls)}
        except KeyError as missing:
            raise ResultError(f"population: {missing} is missing; fit again") from None
        arrays = {f.name for f in fields(cls) if f.type is Floats}
        size = len(given["mean"])
        p, k = len(given["partial"]), len(given["shared"])
        empty = {"between": (size, 0), "shared_values": (size, k), "lower": (size, p, p)}
        for name, value in given.items():
            if name in arrays:
                array = np.asarray(value, dtype=np.float64)
                given[name] = array if array.size else array.reshape(empty.get(name, array.shape))
            elif isinstance(value, list):
                given[name] = tuple(value)
        return cls(**given)


def _row(entry: str, quantity: str, draws: Floats) -> dict[str, Any]:
    low, median, high = np.quantile(draws, [0.05, 0.5, 0.95]).tolist()
    return {
        "entry": entry,
        "quantity": quantity,
        "mean": float(draws.mean()),
        "sd": float(draws.std()),
        "median": median,
        "lower_90": low,
        "upper_90": high,
    }
