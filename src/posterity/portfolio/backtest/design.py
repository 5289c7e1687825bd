"""What a backtest will do, before it does anything: who competes, over which origins, refitted when."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from posterity.config import Config, with_overrides
from posterity.errors import ConfigError
from posterity.lineage import ENGINE_VERSION, digest
from posterity.panel import Panel
from posterity.panel.findings import listing
from posterity.panel.reading import Source
from posterity.portfolio.backtest.baselines import DRIFT, NAIVE, SEASONAL
from posterity.portfolio.backtest.steps import Steps, origins_of
from posterity.portfolio.backtest.timeline import Timeline, timeline
from posterity.portfolio.manifest import RUNS
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.scores import checked_masses

type Configs = Any
"""A configuration (value, dictionary or path), a sequence of them, or a mapping from names to them."""

KEPT = 1_000
"""Draws kept of each posterior where the configuration leaves it open: scores need no more."""


@dataclass(frozen=True, eq=False)
class Entrant:
    """A configuration with its name in the backtest and the panel as it sees it."""

    name: str
    timeline: Timeline

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.timeline.config

    @cached_property
    def key(self) -> str:
        """Digest of what decides this entrant's posteriors."""
        settings = self.config.model_dump(mode="json", exclude={"execution", "tracking", "refit", "name"})
        return digest([settings, self.timeline.key, ENGINE_VERSION])


@dataclass(frozen=True, eq=False)
class Design:
    """A backtest, ready to be run. Configurations are fitted at every `every`-th origin."""

    entrants: tuple[Entrant, ...]
    steps: Steps
    origins: tuple[Any, ...]
    horizon: int
    every: int
    season: int | None
    intervals: tuple[float, ...]
    clock: str
    notices: tuple[str, ...] = field(default=())

    @property
    def rules(self) -> tuple[str, ...]:
        """The baselines."""
        return (NAIVE, DRIFT, *((SEASONAL,) if self.season else ()))

    @property
    def names(self) -> tuple[str, ...]:
        """Everybody who is scored: configurations, then baselines."""
        return (*(entrant.name for entrant in self.entrants), *self.rules)

    @property
    def lead(self) -> Timeline:
        """The first configuration's panel, from which baselines forecast."""
        return self.entrants[0].timeline

    def fits(self) -> Iterator[tuple[Any, tuple[Any, ...]]]:
        """Every origin with a fit, and the origins that its posteriors forecast from."""
        for i in range(0, len(self.origins), self.every):
            yield self.origins[i], self.origins[i : i + self.every]

    @cached_property
    def key(self) -> str:
        """Digest of everything that decides the scores."""
        return digest(
            {
                "backtest": 1,
                "entrants": [[e.name, e.key] for e in self.entrants],
                "origins": [str(origin) for origin in self.origins],
                "steps": str(self.steps),
                "horizon": self.horizon,
                "every": self.every,
                "season": self.season,
                "intervals": list(self.intervals),
            }
        )

    @property
    def name(self) -> str:
        """What the backtest is called: the configurations' names."""
        return " vs ".join(entrant.name for entrant in self.entrants)

    def folder(self, out: str | Path | None = None) -> Path:
        """Where the backtest goes."""
        return RUNS / "backtests" / self.key[:12] if out is None else Path(out)


def design(
    configs: Configs,
    panel: Panel | Source | None = None,
    *,
    horizon: int,
    every: int = 1,
    origins: int | Sequence[Any] | None = None,
    start: Any | None = None,
    step: float | str | None = None,
    clock: str | None = None,
    names: Sequence[str] | None = None,
    season: int | None = None,
    intervals: Sequence[float] = (0.5, 0.9),
) -> Design:
    """Check everything that a backtest is told and resolve it against the panel; see `backtest`.

    Raises ConfigError and PanelError before anything is written.
    """
    entrants = _entrants(_named(configs, names), panel, clock)
    problems = [
        f"{what} {value!r}: give {least} or more"
        for what, value, least in (("horizon", horizon, 1), ("every", every, 1), ("season", season or 1, 1))
        if value < least
    ]
    if isinstance(origins, int) and origins < 1:
        problems.append(f"origins {origins!r}: give 1 or more, or the times themselves")
    if problems:
        raise ConfigError(problems)
    lead = entrants[0].timeline
    steps = Steps.of(step, lead.times, lead.codes)
    chosen = origins_of(steps, lead.times, horizon, origins, start)
    own = clock or lead.panel.time
    assert own is not None
    notices = tuple(dict.fromkeys(notice for e in entrants for notice in e.timeline.panel.notices))
    masses = checked_masses(intervals)
    return Design(entrants, steps, chosen, horizon, every, season, masses, own, notices)


def _named(configs: Configs, names: Sequence[str] | None) -> dict[str, Config]:
    """Configurations by name: the mapping's, those given, or their own."""
    if isinstance(configs, Mapping) and not {"data", "model"} & set(configs):
        given, own = list(configs.values()), [str(name) for name in configs]
    elif isinstance(configs, Config | Mapping | str | Path):
        given, own = [configs], None
    else:
        given, own = list(configs), None
    found = [Portfolio(config).config for config in given]
    chosen = list(names) if names is not None else own or [config.name for config in found]
    taken = {NAIVE, DRIFT, SEASONAL}
    if not found or len(chosen) != len(found) or len(set(chosen)) < len(chosen) or taken & set(chosen):
        raise ConfigError(
            [
                (
                    f"{len(found)} configurations with the names {listing(chosen, 10)}: each needs a name of "
                    f"its own, other than {', '.join(sorted(taken))}; pass names=, or a mapping"
                )
            ]
        )
    return dict(zip(chosen, found, strict=True))


def _entrants(
    configs: Mapping[str, Config], panel: Panel | Source | None, clock: str | None
) -> tuple[Entrant, ...]:
    found = []
    for name, config in configs.items():
        if config.inference.keep == "auto":
            config = with_overrides(config, {"inference.keep": KEPT})
        found.append(Entrant(name, timeline(config, panel, clock)))
    first = found[0].config.data
    for other in found[1:]:
        data = other.config.data
        if (data.entity, data.target) != (first.entity, first.target):
            raise ConfigError(
                [
                    (
                        f"{other.name!r} explains {data.target!r} by {listing(data.entity)}, "
                        f"{found[0].name!r} {first.target!r} by {listing(first.entity)}: only forecasts of "
                        "the same thing can stand side by side"
                    )
                ]
            )
    return tuple(found)
