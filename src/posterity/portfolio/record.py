"""How the posteriors of a result came to be as they are: the version of each, and the update that made it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from posterity.lineage import digest
from posterity.portfolio.ledger import Taken
from posterity.portfolio.plan import Plan, entity_columns
from posterity.portfolio.taught import Kept

if TYPE_CHECKING:
    from posterity.lineage.graph import Graph

FIT = "fit"


@dataclass(frozen=True)
class Record:
    """What a result says of its version.

    `made` has the version and the update (fit, exact, carry, reweight, reset) of every entity's posterior,
    `parents` the fit key that the posterior came from. `labels` are what tables say of priors that come from
    earlier versions, `priors` the keys of those that this version's fits began with, `kept` the priors
    themselves. `ledger`, `history` and `graph` are those of the version before; `appended` are the entities
    whose rows in it are still the same, `taken` is what this one adds. `extra` goes to the manifest.
    """

    version: int = 1
    made: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    parents: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    priors: Mapping[str, str] = field(default_factory=dict)
    kept: Kept | None = None
    taken: tuple[Taken, ...] = ()
    ledger: pa.Table | None = None
    appended: frozenset[str] = frozenset()
    history: pa.Table | None = None
    graph: "Graph | None" = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_fit(cls, plan: Plan) -> "Record":
        """A first version, in which every entity was fitted."""
        config = config_digest(plan)
        rows = entity_columns(plan).to_pylist()
        taken = tuple(
            Taken(
                entity=row["entity"],
                version=1,
                update=FIT,
                fit_key=row["fit_key"],
                parent_fit_key=None,
                n_rows=row["n_rows"],
                new_rows=row["n_rows"],
                first_time=row["first_time"],
                last_time=row["last_time"],
                config=config,
            )
            for row in rows
        )
        return cls(taken=taken)

    def version_of(self, entity: str) -> int:
        """The version in which the posterior was made."""
        return self.made.get(entity, (self.version, FIT))[0]

    def update_of(self, entity: str) -> str:
        """How the posterior was made."""
        return self.made.get(entity, (self.version, FIT))[1]


def config_digest(plan: Plan) -> str:
    """Digest of a plan's configuration."""
    return digest(plan.config.model_dump(mode="json"))
