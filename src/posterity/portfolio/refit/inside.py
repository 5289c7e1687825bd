"""What a result has inside: its rows as a panel, how its time is cut, and its history."""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from posterity.config import Config
from posterity.errors import ResultError
from posterity.panel import Panel
from posterity.panel.chunks import Clock, clock
from posterity.portfolio import ledger
from posterity.portfolio.fixed import fixed, waiting
from posterity.portfolio.plan import read_panel
from posterity.portfolio.result import Result


@dataclass(frozen=True)
class Inside:
    """A result as something to build on, under a configuration that may have changed since."""

    result: Result
    config: Config

    @classmethod
    def of(cls, result: Result, config: Config | None = None) -> "Inside":
        """A column that `config` scales by the word `standard` has the result's numbers, as long as it had
        any.

        Raises ResultError for results that were made before rows were kept.
        """
        if not result.has(ledger.ROWS):
            raise ResultError(
                f"{result.path}: keeps no rows ({ledger.ROWS}), so nobody can tell which are inside its "
                "posteriors; it was made by an older version: fit once more, then refit"
            )
        settings = config or result.config
        if waiting(settings):
            rows = read_panel(settings, result.table(ledger.ROWS))
            settings = fixed(settings, rows, (result.config,))
        return cls(result, settings)

    @cached_property
    def panel(self) -> Panel:
        """The rows inside the posteriors."""
        return read_panel(self.config, self.result.table(ledger.ROWS))

    @cached_property
    def clock(self) -> Clock | None:
        """How time is cut: from where the first version began, in chunks of the present configuration."""
        told = self.result.manifest.extra.get("clock")
        return clock(self.panel, self.config.refit.every, None if told is None else Clock.from_dict(told))

    @property
    def version(self) -> int:
        """The result's version; 1 for a first fit."""
        return int(self.result.manifest.extra.get("version", 1))

    @cached_property
    def history(self) -> pa.Table:
        """One row an entity and update."""
        return self.result.table(ledger.HISTORY)
