"""What a run will do, before it does anything: entities, their roles, where their priors come from, in which
waves they are fitted, what cannot be fitted and why, fit keys.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from posterity.config import Config, variables
from posterity.errors import ConfigError, PanelError
from posterity.lineage import digest
from posterity.models import Description, build, describe
from posterity.panel import Panel, Rows, checks, read
from posterity.panel.chunks import Clock, clock
from posterity.panel.reading import Source as Data
from posterity.portfolio import actionable, designed, ranges
from posterity.portfolio.fixed import fixed
from posterity.portfolio.keys import keyed
from posterity.portfolio.rules import Source, Sources
from posterity.portfolio.settling import sources_for
from posterity.portfolio.structure import spelt
from posterity.portfolio.waves import Wave, in_waves

if TYPE_CHECKING:
    from posterity.inference.reweight import Particles

FEW = 200
"""Up to so many entities, `keep: auto` stores every draw; beyond it `KEPT` an entity."""
FEW_TO_WEIGH = 2_000
"""The same where refits weigh the stored draws, of which every refit leaves fewer that count."""
KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Work:
    """One entity to fit, small and picklable. `digest` identifies its data, `key` the whole fit; `prior` is
    the key of its prior in the shard, "" for the declared one.

    `weights` (n,) multiply the rows' log likelihoods (None: all count once); the first `context` rows are
    there for those that depend on them, and are neither counted nor reported. `particles` are draws of
    the posterior that the rows only reweight.
    """

    entity: str
    key: str
    digest: str
    rows: Rows
    prior: str = ""
    weights: NDArray[np.float64] | None = None
    context: int = 0
    particles: "Particles | None" = None


@dataclass(frozen=True)
class Plan:
    """A portfolio over a panel. `reasons` (on the panel) says which entities cannot be fitted."""

    config: Config
    description: Description
    panel: Panel
    keys: Mapping[str, str]
    keep: int
    learning: Sources
    waves: tuple[Wave, ...]

    @cached_property
    def run_key(self) -> str:
        """Digest of everything that decides the result; equal keys mean an equal result."""
        parts = {"name": self.config.name, "fits": self.keys, "reasons": dict(self.panel.reasons)}
        if (aside := self.panel.unobserved) is not None:
            parts["unobserved"] = [str(rows) for rows in aside.digests]
        return digest({**parts, **self.said})

    @property
    def said(self) -> dict[str, Any]:
        """What a result says beyond its fits, in plain values: nothing where the configuration has none."""
        config = self.config
        rule = None if config.actionable is None else config.actionable.model_dump(mode="json")
        found = {"assumptions": list(config.assumptions), "actionable": rule}
        return {name: value for name, value in found.items() if value}

    @property
    def roles(self) -> Mapping[str, str]:
        """`established` where an entity has enough rows to teach, else `new`."""
        return self.learning.roles

    @property
    def sources(self) -> Mapping[str, Source]:
        """Where the prior of every entity comes from."""
        return self.learning.of

    @property
    def teachers(self) -> tuple[str, ...]:
        """Established entities that can be fitted, in the panel's order: the population learns from them."""
        return self.learning.teachers

    @cached_property
    def clock(self) -> Clock | None:
        """How time is cut into chunks; None without a time column."""
        return clock(self.panel, self.config.refit.every)

    @property
    def time_type(self) -> pa.DataType:
        """Arrow type of the time column (null without one)."""
        return pa.null() if self.panel.time is None else self.panel.table.schema.field(self.panel.time).type

    @property
    def fittable(self) -> tuple[str, ...]:
        """Entities without a reason against them, in the panel's order."""
        return tuple(e for e in self.panel.entities if e not in self.panel.reasons)

    def work(self, entities: tuple[str, ...] | None = None) -> Iterator[Work]:
        """The work of these entities (default: all that can be fitted)."""
        position = {e: i for i, e in enumerate(self.panel.entities)}
        for entity in self.fittable if entities is None else entities:
            yield Work(
                entity, self.keys[entity], str(self.panel.digests[position[entity]]), self.panel.rows(entity)
            )

    def summary(self) -> dict[str, int]:
        """Counts worth showing before a run."""
        roles = [self.roles[entity] for entity in self.panel.entities]
        return {
            "entities": len(self.panel.entities),
            "rows": self.panel.n_rows,
            "established": roles.count("established"),
            "new": roles.count("new"),
            "cannot be fitted": len(self.panel.reasons),
        }

    def origins(self) -> dict[str, int]:
        """How many entities that can be fitted have a prior from each source, in the order of the waves."""
        return dict(Counter(self.sources[e].label for wave in self.waves for e in wave.entities))

    def steps(self) -> list[dict[str, Any]]:
        """The waves in plain values, learning the population among them: what `check` shows."""
        steps: list[dict[str, Any]] = []
        taught = False
        for wave in self.waves:
            if wave.needs_population and not taught:
                taught = True
                whom = Counter(self.learning.groups[e] for e in self.teachers)
                names = {" / ".join(group): n for group, n in whom.items() if group}
                steps.append({"wave": "population", "entities": len(self.teachers), "from": names})
            sources = dict(Counter(self.sources[e].label for e in wave.entities))
            steps.append({"wave": wave.name, "entities": len(wave.entities), "from": sources})
        return steps


def read_panel(config: Config, source: Data | None = None) -> Panel:
    """Read the columns that a configuration needs and check them against its likelihood.

    `source` overrides the configuration's, in which `${POSTERITY_...}` stands for an environment variable.
    Raises PanelError with every problem of the panel, ConfigError where there is none to read.
    """
    data = config.data
    chosen = source
    if chosen is None and data.source is not None:
        chosen = variables.resolved(data.source)
    if chosen is None:
        raise ConfigError(["data.source is not given; write it into the configuration or pass the data"])
    description = describe(config)
    named = dict.fromkeys((*description.columns, description.weights))
    columns = [name for name in named if name is not None and name != data.time]
    panel = read(
        chosen,
        entity=data.entity,
        time=data.time,
        target=data.target,
        columns=columns,
        unobserved=data.unobserved == "predict",
    )
    computed = [n for n in (*description.inputs, description.weights) if n is not None]
    if text := [name for name in computed if panel.arrays[name].dtype == object]:
        raise PanelError(
            [
                f"column {name!r} holds text, and the model computes with it; make it a number, or let it "
                f"pick entries of a vector parameter, as in z[{name}]"
                for name in text
            ]
        )
    panel = checks.support(panel, config.model.family.support, _trials(config, description))
    if description.weights is not None:
        panel = checks.weights(panel, description.weights)
    panel = designed.with_reasons(config, panel)
    panel = ranges.within(panel, description)
    limits = None if config.model.likelihood is None else config.model.likelihood.limits
    return panel if limits is None else checks.within(panel, limits.lower, limits.upper)


def _trials(config: Config, description: Description) -> str | float | None:
    """The number of trials of a binomial likelihood where the panel or the configuration gives it."""
    match config.model.observed.get("n"):
        case str() as name if name in description.columns:
            return name
        case int() | float() as number:
            return number
        case _:
            return None


def make_plan(config: Config, panel: Panel, entities: tuple[str, ...] | None = None) -> Plan:
    """Resolve a configuration against its panel; `entities` restricts the run to some of them.

    Raises ModelError where the model cannot be built, so that nothing starts that cannot work.
    """
    given, config = config, fixed(config, panel)
    panel = designed.with_reasons(config, panel)
    description = describe(config, panel)
    if config is not given:
        told = [f"{name} is read with {spelt(numbers)}" for name, numbers in description.scales.items()]
        told += designed.told(given, config)
        panel = panel.with_reasons({}, told)
    clock(panel, config.refit.every)  # a span that does not fit the time column is told before anything runs
    actionable.check(config, build(description))
    everybody = panel.entities
    if entities is not None:
        panel = panel.select(entities)
    keep = kept(config, len(panel.entities))
    found = sources_for(config, description, panel, everybody)
    panel = panel.with_reasons({}, found.notices)
    keys, learning = keyed(config, description, panel, found, keep)
    return Plan(config, description, panel, keys, keep, learning, waves_of(config, learning, panel))


def waves_of(config: Config, learning: Sources, panel: Panel) -> tuple[Wave, ...]:
    """The waves of a plan; a joint model has one."""
    fittable = tuple(e for e in panel.entities if e not in panel.reasons)
    if config.inference.pooling == "joint":
        return (Wave("joint", fittable, kind="joint"),) if fittable else ()
    return in_waves(learning, fittable)


def kept(config: Config, entities: int) -> int:
    """Draws stored an entity."""
    every = config.inference.draws * config.inference.chains
    keep = config.inference.keep
    if keep == "all":
        return every
    few = FEW_TO_WEIGH if config.refit.mode == "reweight" else FEW
    return min(every, (every if entities <= few else KEPT) if keep == "auto" else keep)


def entity_columns(plan: Plan) -> pa.Table:
    """One row an entity: its columns, name, role, rows, first and last time, fit key."""
    panel = plan.panel
    table = panel.entity_table
    names = pa.array(panel.entities, pa.string())
    columns = {name: table.column(name) for name in panel.entity_columns if name != "entity"}
    columns |= {"entity": names, "role": pa.array([plan.roles[e] for e in panel.entities])}
    columns["n_rows"] = pa.array(panel.counts, pa.int64())
    none = pa.nulls(len(names))
    columns["first_time"] = none if panel.first_times is None else panel.first_times
    columns["last_time"] = none if panel.last_times is None else panel.last_times
    columns["fit_key"] = pa.array([plan.keys[e] for e in panel.entities])
    return pa.table(columns)
