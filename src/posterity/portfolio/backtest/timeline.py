"""A panel along real time: what was known at an instant, and what came after."""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from posterity.config import Config, variables, with_overrides
from posterity.errors import ConfigError, PanelError
from posterity.lineage import digest
from posterity.panel import Panel, Rows, read
from posterity.panel.reading import Source
from posterity.portfolio.backtest.steps import Times
from posterity.portfolio.plan import read_panel


@dataclass(frozen=True, eq=False)
class Timeline:
    """A panel whose rows each have a real time, `times` (rows,): the model's own time, or another column
    where that one counts from each entity's own start.
    """

    config: Config
    panel: Panel
    times: Times

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """The number of each row's entity (rows,)."""
        return np.repeat(np.arange(len(self.panel.entities)), self.panel.counts)

    @cached_property
    def key(self) -> str:
        """Digest of the rows and their times."""
        own = hashlib.blake2b(np.ascontiguousarray(self.times).tobytes(), digest_size=16).hexdigest()
        return digest([[str(d) for d in self.panel.digests], own])

    def known(self, origin: Any) -> Panel:
        """The panel as it was at the origin, read and checked as if nothing else existed."""
        mask = pa.array(self.times <= origin)
        return read_panel(self.config, self.panel.table.filter(mask))

    def rows(self, places: NDArray[np.int64]) -> Rows:
        """The rows at these places of the panel."""
        arrays, target = self.panel.arrays, self.panel.target
        return Rows(
            columns={name: a[places] for name, a in arrays.items() if name != target},
            target=self.target[places],
            time=self._stored[places],
            n=len(places),
        )

    @cached_property
    def _stored(self) -> Times:
        assert self.panel.time is not None
        found: Times = self.panel.table.column(self.panel.time).to_numpy()
        return found

    @property
    def target(self) -> NDArray[np.float64]:
        """What was observed (rows,)."""
        assert self.panel.target is not None
        found: NDArray[np.float64] = self.panel.arrays[self.panel.target]
        return found


def timeline(config: Config, source: Panel | Source | None, clock: str | None) -> Timeline:
    """The panel of a configuration along `clock`, a column of real times (default: the configuration's time).

    Raises ConfigError without any time, PanelError where times are missing or do not go with the rows.
    """
    own = config.data.time
    if clock is None and own is None:
        raise ConfigError(["the panel has no time column; name one with clock= or in data.time"])
    if own is None:
        config = with_overrides(config, {"data.time": clock})
    panel = source if isinstance(source, Panel) else read_panel(config, source)
    if clock is None or own is None or clock == own:
        assert panel.time is not None
        return Timeline(config, panel, _whole(panel.table.column(panel.time).to_numpy(), panel.time))
    if isinstance(source, Panel):
        raise ConfigError([f"clock {clock!r} is not in a panel that was read before; give its source"])
    return Timeline(config, panel, _beside(config, panel, source, own, clock))


def _beside(config: Config, panel: Panel, source: Source | None, own: str, clock: str) -> Times:
    """The clock of every row of the panel, matched by entity and the model's time."""
    chosen = source if source is not None else variables.resolved(os.fspath(config.data.source or ""))
    other = read(chosen, entity=config.data.entity, time=clock, columns=[own])
    mine, theirs = panel.arrays[own], other.arrays[own]
    codes = np.repeat(np.arange(len(panel.entities)), panel.counts)
    order = np.lexsort((theirs, codes)) if len(theirs) == len(mine) else np.arange(0)
    if not np.array_equal(mine, theirs[order], equal_nan=True):
        raise PanelError([f"the rows by {clock!r} are not those by {own!r}; is the source the same?"])
    found: Times = other.table.column(clock).to_numpy()[order]
    return _whole(found, clock)


def _whole(times: Times, name: str) -> Times:
    missing = np.isnat(times) if times.dtype.kind == "M" else np.isnan(times.astype(np.float64))
    if missing.any():
        raise PanelError(
            [
                (
                    f"time {name!r} is missing in {int(missing.sum()):,} of {len(times):,} rows; "
                    "a backtest must know when each row became known: leave them out"
                )
            ]
        )
    return times
