"""The sections of a configuration. Shapes, types and ranges live here; what spans sections is in
`names.py`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from posterity.config.abstain import Abstain
from posterity.config.actionable import Actionable
from posterity.config.build import Build, spelt_out
from posterity.config.distributions import DISTRIBUTIONS, Distribution
from posterity.config.frozen import FrozenDict
from posterity.config.history import Memory
from posterity.config.labels import MOST_LABELS, numbered
from posterity.config.priors import (
    Ar1,
    Frozen,
    Likelihood,
    Name,
    Names,
    PriorSpec,
    Quantity,
    Section,
    listed_values,
    one_or_more,
)
from posterity.config.promotion import OpenShare, Promotion
from posterity.config.scale import Scale
from posterity.config.smooths import Smooth, found_in
from posterity.config.transfer import Share, Transfer

Label = Annotated[int | str, Field(union_mode="left_to_right")]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


Labels = Annotated[
    tuple[Label, ...],
    Field(min_length=1),
    BeforeValidator(
        numbered,
        json_schema_input_type=Annotated[int, Field(ge=1, le=MOST_LABELS)]
        | Annotated[list[Label], Field(min_length=1)],
    ),
]


class Data(Section):
    """The panel: one row an observation."""

    source: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Parquet or CSV: a file, a folder, a glob or any fsspec URL. `${POSTERITY_...}` stands for an
    environment variable. May be given on the command line instead."""

    entity: Annotated[Names, Field(min_length=1)]
    """The columns whose distinct values are the entities, each of which gets a posterior."""

    time: Name | None = None
    """The column that orders the rows of an entity and cuts chunks: numbers or dates."""

    target: Name
    """The column that is explained and predicted."""

    unobserved: Literal["refuse", "predict"] = "refuse"
    """Rows without a target. refuse: their entity is not fitted, as with any missing value; predict: they are
    put aside, and the result predicts them."""

    scale: Annotated[dict[str, Scale], Frozen] = Field(default_factory=FrozenDict)
    """Column -> how the model reads it: `standard`, centred and divided by its standard deviation over the
    first panel, or the numbers `{centre: ..., sd: ...}`, which is what a result's configuration holds."""


class Model(Section):
    """Parameters, quantities and likelihood."""

    parameters: Annotated[dict[str, PriorSpec], Frozen] = Field(default_factory=FrozenDict)
    """Name -> prior."""

    history: Annotated[dict[str, Memory], Frozen] = Field(default_factory=FrozenDict)
    """Name -> a number made from the rows before, for quantities to use; forecasts carry it forward."""

    quantities: Annotated[dict[str, Quantity], Frozen] = Field(default_factory=FrozenDict)
    """Name -> function of columns, parameters and earlier quantities, in order."""

    likelihood: Likelihood | None = None
    """How the target scatters; absent only where a function of one's own says so."""

    build: Annotated[Build | None, BeforeValidator(spelt_out, json_schema_input_type=Build | str | None)] = (
        None
    )
    """A model of one's own: `package.module:function` in place of quantities and likelihood."""

    coords: Annotated[dict[str, Labels], Frozen] = Field(default_factory=FrozenDict)
    """Labels of dimensions that are no column of the panel (those take the column's sorted distinct
    values). A number n stands for the labels 0 to n - 1."""

    @property
    def family(self) -> Distribution:
        """The distribution of the target, or what is known of it where a function makes it."""
        if self.build is not None:
            return self.build.family
        assert self.likelihood is not None
        return DISTRIBUTIONS[self.likelihood.dist]

    @property
    def smooths(self) -> Mapping[str, Smooth]:
        """Smooth functions by the quantity that holds them."""
        texts = {name: quantity.expression for name, quantity in self.quantities.items()}
        found = {name: found_in(text) for name, text in texts.items() if text is not None}
        return {name: smooth for name, smooth in found.items() if smooth is not None}

    @property
    def nested(self) -> Mapping[str, PriorSpec]:
        """Parameters declared inside the likelihood: name -> prior."""
        return {} if self.likelihood is None else self.likelihood.nested

    @property
    def observed(self) -> Mapping[str, Any]:
        """Arguments of the target's distribution; none where a function makes it."""
        return {} if self.likelihood is None else self.likelihood.kwargs

    @property
    def errors(self) -> Ar1 | None:
        """Dependence of each row on the one before."""
        return None if self.likelihood is None else self.likelihood.errors


class Inference(Section):
    """How posteriors are computed."""

    method: Literal["auto", "laplace", "nuts", "pathfinder", "advi", "fullrank_advi", "dadvi"] = "auto"
    """auto: laplace, then adaptive importance sampling, then nuts, each where the one before it has an open
    gate. advi and fullrank_advi are for an entity at a time and for joint models (`pooling: joint`),
    pathfinder and dadvi for joint models only, which also take nuts.
    """

    draws: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Draws per chain."""

    chains: Annotated[int, Field(ge=1, le=64)] = 4
    """Chains per entity."""

    tune: Literal["auto"] | Annotated[int, Field(ge=1, le=1_000_000)] = "auto"
    """Tuning draws per chain, or auto."""

    keep: Literal["auto", "all"] | Annotated[int, Field(ge=1, le=64_000_000)] = "auto"
    """Draws stored an entity; auto: all up to 200 entities, 1,000 beyond."""

    seed: Annotated[int, Field(ge=0)] = 2023
    """The root seed; every entity's own is derived from it and the entity's key."""

    target_accept: OpenShare = 0.8
    """Acceptance rate that nuts tunes for."""

    pooling: Literal["separate", "joint"] = "separate"
    """separate: an entity at a time. joint: one model of all entities, which share a population."""

    centered: bool = False
    """Joint models: whether entities' parameters are sampled as they are, not as standardised offsets."""

    steps: Annotated[int, Field(ge=100, le=10_000_000)] = 20_000
    """Optimisation steps of advi and fullrank_advi at most; they stop where their bound has settled."""

    minibatch: Annotated[int, Field(ge=1)] | None = None
    """Rows a step of advi and fullrank_advi; absent: all. Not where rows depend on rows before."""


class Gates(Section):
    """Bounds on diagnostics; an entity outside one is flagged."""

    rhat: Annotated[float, Field(gt=1, le=10)] = 1.01
    """Largest R-hat of any parameter."""

    ess: Annotated[float, Field(ge=0)] = 400.0
    """Smallest effective sample size, bulk and tail."""

    divergences: Annotated[int, Field(ge=0)] = 0
    """Most divergent transitions."""

    khat: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Largest Pareto k-hat of an importance-sampled posterior."""

    bfmi: Share = 0.2
    """Smallest Bayesian fraction of missing information."""

    conflict: Share = 0.01
    """Smallest probability of a prior-data conflict, for entities with a transferred prior."""


class Refit(Section):
    """Updating posteriors as data arrive."""

    every: Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}(h|D|W|M|Q|Y)$")] = 4
    """Length of a chunk: units of the time column, or a calendar span such as 4W (h, D, W, M, Q, Y). Over
    dates a number counts the panel's usual step."""

    mode: Literal["exact", "carry", "reweight"] = "exact"
    """exact: all rows again; carry: the old posterior as prior; reweight: the old draws, weighted."""

    forget: Annotated[float, Field(gt=0, le=1)] = 1.0
    """What old information counts for after each further chunk; 1: as much as new."""

    audit: Annotated[int, Field(ge=1)] | None = 6
    """After so many refits without it the exact posterior is computed too, and compared; null: never."""

    max_shift: Annotated[float, Field(gt=0)] = 0.5
    """An audit that finds a mean further off, in posterior sds, resets the entity to the exact posterior."""

    max_ratio: Annotated[float, Field(gt=1)] = 1.25
    """So does one that finds an sd more than so many times too large or too small."""


class Tracking(Section):
    """What MLflow is told."""

    experiment: Name | None = None
    """Name of the experiment; the configuration's name if absent."""

    entity_runs: Literal["auto", "all", "none"] | Annotated[int, Field(ge=0)] = "auto"
    """Child runs: all, none, at most a number, or auto (all up to a bound, beyond it the interesting
    ones)."""

    traces: Literal["all", "none"] = "all"
    """Whether the draws are logged as netCDF."""

    uri: Name | None = None
    """MLflow's tracking address; SQLite in the checkout if absent."""


class Execution(Section):
    """Where fits run."""

    runner: Literal["threads", "processes", "dask", "ray"] = "processes"
    """What shards are mapped over."""

    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=10_000)] = "auto"
    """How many at once; auto: one a core."""

    max_failed: Share = 0.1
    """Share of failed entities beyond which a flow run ends Failed."""

    retries: Annotated[int, Field(ge=0, le=100)] = 1
    """How often a shard that died is tried again."""


class Config(Section):
    """A portfolio: one model, all entities of a panel.

    Made by `posterity.config.load`, `loads` and `from_dict`, which also check what spans sections."""

    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")]
    """Names the portfolio, its results and its MLflow experiment."""

    assumptions: Annotated[
        tuple[Text, ...],
        BeforeValidator(one_or_more, json_schema_input_type=tuple[Text, ...] | Text),
        Field(max_length=100),
    ] = ()
    """What is taken for granted here, a text each: shown wherever a posterior's origin is. No fit depends on
    it."""

    data: Data
    model: Model
    inference: Inference = Inference()
    gates: Gates = Gates()
    transfer: Transfer | None = None
    """Absent: every entity keeps the declared priors."""

    refit: Refit = Refit()
    intervals: Annotated[
        tuple[OpenShare, ...], Field(min_length=1, max_length=20), BeforeValidator(listed_values)
    ] = (0.5, 0.9)
    """Masses of the reported intervals, each between 0 and 1."""

    actionable: Actionable | None = None
    """Absent: entities are not marked as decided or in need of more data."""

    abstain: Abstain | None = None
    """Classifiers: when to give no answer; absent: they always answer."""

    promotion: Promotion = Promotion()
    tracking: Tracking = Tracking()
    execution: Execution = Execution()

    @field_validator("intervals")
    @classmethod
    def _in_order(cls, masses: tuple[float, ...]) -> tuple[float, ...]:
        # Columns are named by the percentage (`lower_90`), so masses must differ there.
        if len({percent(mass) for mass in masses}) < len(masses):
            raise PydanticCustomError("twice", "the same mass stands twice; keep one")
        return tuple(sorted(masses))


def percent(mass: float) -> str:
    """0.9 as `90` and 0.995 as `99_5`: how columns name an interval."""
    return f"{100 * mass:.6g}".replace(".", "_")
