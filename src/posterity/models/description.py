"""What a model is, before anything is built: names, columns, dimensions and the numbers inside its priors."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config import Config, PriorSpec, Quantity, formula
from posterity.config.curves import BUILTIN_CURVES
from posterity.config.expressions import bare_names, parse, subscripts
from posterity.config.history import Memory
from posterity.config.priors import LIMITS
from posterity.config.scale import STANDARD, Scaling
from posterity.config.schema import Model
from posterity.config.smooths import Smooth
from posterity.errors import ModelError
from posterity.lineage.hashing import digest
from posterity.models import design, functions, priors
from posterity.panel import Panel

type Numbers = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Description:
    """A model in words and columns.

    `inputs` are the columns used as numbers, `indices` pairs of a column and the dimension along which its
    value on a row picks an entry of a vector parameter, `levels` the labels of every named dimension.
    `transferred` are the parameters, in declared order, whose declared prior gives way to a Gaussian mixture
    that is an input of the model. Where `weighted`, the log likelihood of every row is multiplied by a weight
    of its own, another input. `target` is the column that is explained; `scales` has the numbers (centre,
    sd) by which columns are scaled before the model reads them. Two descriptions with the same `key` mean the
    same parameters, whatever the numbers inside their priors; two with the same `structure` compile to the
    same functions.
    """

    model: Model
    time: str | None
    inputs: tuple[str, ...]
    indices: tuple[tuple[str, str], ...]
    levels: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    transferred: tuple[str, ...] = ()
    weighted: bool = False
    target: str = "target"
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def with_transfer(self, parameters: Iterable[str]) -> "Description":
        """The same model, the priors of these parameters replaced by a mixture; of none, as declared.

        Raises ModelError for a name that is no parameter.
        """
        wanted = set(parameters)
        if unknown := sorted(wanted - set(self.priors)):
            raise ModelError(
                f"{unknown[0]!r} is no parameter whose prior could be transferred; "
                f"the model has {', '.join(self.priors)}"
            )
        return replace(self, transferred=tuple(name for name in self.priors if name in wanted))

    def with_weights(self) -> "Description":
        """The same model with a weight for the log likelihood of each row."""
        return replace(self, weighted=True)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns a panel must have besides entity, time and target."""
        picked = (column for column, _ in self.indices)
        return tuple(dict.fromkeys((*self.inputs, *picked, *self.regressors)))

    @property
    def formulas(self) -> Mapping[str, Quantity]:
        """The quantities that are formulas."""
        return {name: q for name, q in self.model.quantities.items() if q.formula is not None}

    @property
    def regressors(self) -> tuple[str, ...]:
        """Columns that formulas read, numbers or text."""
        read = (formula.parse(q.formula or "").columns for q in self.formulas.values())
        return tuple(dict.fromkeys(column for columns in read for column in columns))

    @cached_property
    def designed(self) -> Mapping[str, NDArray[Any]]:
        """The inputs that formulas are made of, by name, with values for two rows."""
        made = [design.placeholders(n, design.learned(n, q)) for n, q in self.formulas.items()]
        return {name: values for one in made for name, values in one.items()}

    @property
    def weights(self) -> str | None:
        """The column that says what each row counts for; predictions do without it."""
        return None if self.model.likelihood is None else self.model.likelihood.weights

    @cached_property
    def smooths(self) -> Mapping[str, Smooth]:
        """Smooth functions by the quantity that holds them."""
        return self.model.smooths

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """The ranges (low, high) of the smooths that have one, by quantity."""
        found = ((name, s.low, s.high) for name, s in self.smooths.items())
        return {n: (low, high) for n, low, high in found if low is not None and high is not None}

    @property
    def target_scale(self) -> tuple[float, float] | None:
        """Centre and sd of the target, where it is scaled."""
        return self.scales.get(self.target)

    @property
    def discrete(self) -> bool:
        """Whether the target counts something."""
        return self.model.family.discrete

    @property
    def ordered(self) -> bool:
        """Whether a row's likelihood depends on the row before it."""
        return self.model.errors is not None

    @property
    def history(self) -> Mapping[str, Memory]:
        """What the model remembers of the rows before a row, by name."""
        return self.model.history

    @property
    def context(self) -> int:
        """How many rows before a row its likelihood may depend on: 0, 1, or without end."""
        if (build := self.model.build) is not None:
            return sys.maxsize if build.lookback == "all" else build.lookback
        return sys.maxsize if self.history else int(self.ordered)

    @cached_property
    def priors(self) -> Mapping[str, PriorSpec]:
        """Top-level priors by parameter name: the declared ones and those written inside the likelihood."""
        return {**self.model.parameters, **self.model.nested}

    @cached_property
    def numbers(self) -> Numbers:
        """The numbers inside the declared priors, by input name."""
        return {key: value for name, spec in self.priors.items() for key, value in priors.numbers(name, spec)}

    @cached_property
    def key(self) -> str:
        """Digest of the structure and of what is done to columns before the model reads them: all but the
        numbers inside the priors.
        """
        return digest([self.structure, sorted(self.scales.items())]) if self.scales else self.structure

    @cached_property
    def structure(self) -> str:
        """Digest of what is compiled."""
        # What a model does not use is not in its key: keys outlive the versions that bring something new.
        unused = {name for name in ("history", "build") if not getattr(self.model, name)}
        structure = self.model.model_dump(mode="json", exclude=unused)
        structure["quantities"] = {name: q.structure() for name, q in self.model.quantities.items()}
        for key in (*LIMITS, "weights"):
            if structure["likelihood"] and structure["likelihood"][key] is None:
                del structure["likelihood"][key]
        for spec in _prior_dicts(structure):
            spec["kwargs"] = {
                k: {"shape": list(np.shape(v))} if not isinstance(v, str | dict) else v
                for k, v in spec["kwargs"].items()
            }
        levels = {dim: [str(label) for label in labels] for dim, labels in self.levels.items()}
        parts: list[Any] = [structure, codes(self.model), levels, self.time, self.inputs, self.indices]
        parts += [self.transferred] if self.transferred else []
        parts += ["weighted"] if self.weighted else []
        # Only a function of one's own knows the target by its name.
        return digest([*parts, self.target] if self.model.build is not None else parts)


def describe(config: Config, panel: Panel | None = None) -> Description:
    """Resolve the names of a configuration; with a panel, also the levels of its dimensions.

    Without a panel the description knows which columns it needs (`columns`), which is what reading one asks
    for.
    """
    model = config.model
    if panel is not None and STANDARD in config.data.scale.values():
        raise ModelError("data.scale: standard has no numbers yet; `portfolio.fixed` takes them from a panel")
    if panel is not None and any(not smooth.fixed for smooth in model.smooths.values()):
        raise ModelError("a smooth has no range yet; `portfolio.fixed` takes it from a panel")
    known = {*model.parameters, *model.nested, *model.history}
    used: list[str] = []
    picked: list[tuple[str, str]] = []
    for name, quantity in model.quantities.items():
        if quantity.expression is not None:
            tree = parse(quantity.expression)
            for part in subscripts(tree):
                entries = zip(part.indices, model.parameters[part.name].dims, strict=True)
                picked += [(i.id, dim) for i, dim in entries if isinstance(i, ast.Name)]
            named: Iterable[str] = sorted(bare_names(tree))
        elif quantity.formula is not None:
            # What its terms are called, before a panel makes them parameters.
            known |= {f"{name}_{term.suffix}" for term in formula.parse(quantity.formula).terms}
            named = ()
        else:
            named = bindings(quantity, config.data.time).values()
        used += [n for n in named if n not in known]
        known.add(name)
    used += [v for v in model.observed.values() if isinstance(v, str) and v not in known]
    if model.build is not None:
        used += [name for name in (config.data.time, *model.build.columns) if name is not None]
    if model.likelihood is not None and model.likelihood.limits is not None:
        used += model.likelihood.limits.columns
    used += [memory.of for memory in model.history.values() if memory.of != config.data.target]
    dims = sorted({dim for spec in model.parameters.values() for dim in spec.dims})
    of_panel = [d for d in dims if d not in model.coords]
    levels = {d: model.coords[d] for d in dims if d in model.coords}
    if panel is not None:
        levels |= {d: panel.levels(d) for d in of_panel}
    unique = dict.fromkeys
    return Description(
        model,
        config.data.time,
        tuple(unique(used)),
        tuple(unique((*picked, *((dim, dim) for dim in of_panel)))),
        dict(sorted(levels.items())),
        # Rows taken as given have no weight.
        weighted=any(memory.start is None for memory in model.history.values())
        or (model.likelihood is not None and model.likelihood.weights is not None),
        target=config.data.target,
        scales={name: (s.centre, s.sd) for name, s in config.data.scale.items() if isinstance(s, Scaling)},
    )


def codes(model: Model) -> dict[str, str]:
    """Digests of what the functions of a model do, by name."""
    names = [q.function for q in model.quantities.values() if q.function]
    names += [model.build.function] if model.build is not None else []
    return {name: functions.code_digest(name) for name in names}


def bindings(quantity: Quantity, time: str | None) -> dict[str, str]:
    """Which name each argument of a quantity's function gets."""
    assert quantity.function is not None
    given = dict(quantity.arguments)
    wanted = BUILTIN_CURVES.get(quantity.function) or functions.argument_names(quantity.function)
    if quantity.function in BUILTIN_CURVES and time is not None:
        given.setdefault("x", time)
    unknown = set(given) - set(wanted)
    if unknown and quantity.function in BUILTIN_CURVES:
        raise ModelError(
            f"{quantity.function} has no argument {sorted(unknown)}; it takes {', '.join(wanted)}"
        )
    return {argument: argument for argument in wanted} | given


def _prior_dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Every prior in a dumped configuration, outermost first."""
    if isinstance(value, dict):
        if "dist" in value and "centered" in value:
            yield value
        for inner in list(value.values()):
            yield from _prior_dicts(inner)
