"""One posterior from arrays, and predictions from its draws: the engine without a panel file or a folder.

The numbers are those of a portfolio with this one entity, the same configuration and the same rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from posterity.config import Config
from posterity.config.distributions import Support
from posterity.errors import ModelError, PanelError
from posterity.estimators.configured import ENTITY, TARGET
from posterity.inference.compiled import CELLS, WIDTH, compiled, inputs_of
from posterity.inference.fit import STARTS, Seeds, fit
from posterity.inference.gates import open_gates
from posterity.inference.posterior import Failure, Posterior
from posterity.models import Description, describe
from posterity.models.arrays import arrays
from posterity.panel import Rows
from posterity.portfolio.fixed import fixed
from posterity.portfolio.plan import read_panel
from posterity.portfolio.predictive import predictive_draws

type Floats = NDArray[np.float64]

NAME = "estimator"
"""The one entity."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A posterior and what it was made from; `reasons` flag it. Plain values, which pickle.

    `names` (P,) label the entries of the posterior's draws (C, S, P).
    """

    config: Config
    description: Description
    posterior: Posterior
    names: tuple[str, ...]
    reasons: tuple[str, ...]
    digest: str

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Status, reason, method and the worst of every diagnostic, as in a result's `entities`."""
        d = self.posterior.diagnostics
        return {
            "status": "flagged" if self.reasons else "ok",
            "reason": "; ".join(self.reasons) or None,
            "method": self.posterior.method,
            "rhat": float(np.max(d.rhat)),
            "ess_bulk": float(np.min(d.ess_bulk)),
            "ess_tail": float(np.min(d.ess_tail)),
            "khat": float(d.khat),
            "divergences": d.divergences,
            "bfmi": float(d.bfmi),
        }

    @property
    def parameters(self) -> dict[str, Floats]:
        """Draws by parameter, (C, S) for scalars and (C, S, entries) for vectors."""
        found: dict[str, list[int]] = {}
        for i, name in enumerate(self.names):
            found.setdefault(name.partition("[")[0], []).append(i)
        draws = self.posterior.draws
        return {
            name: draws[..., places] if "[" in self.names[places[0]] else draws[..., places[0]]
            for name, places in found.items()
        }

    def stream(self, number: int) -> np.random.Generator:
        """Random numbers of this fit for a use of their own."""
        seeds = Seeds.of(self.config.inference.seed, self.digest)
        return np.random.default_rng(seeds.predict.spawn(number + 1)[number])

    def predict(self, columns: Mapping[str, Floats], rows: int) -> Iterator[tuple[Floats, Floats | None]]:
        """Draws of new observations (C·S, n) and, where the family has a known mean, of the expected curve,
        for so many rows at a time that memory stays bounded.

        Raises PanelError for rows with a level of a dimension that the model does not know.
        """
        model, values = compiled(self.description), np.concatenate(self.posterior.draws)
        rng = self.stream(0)
        size = max(1, CELLS // len(values))
        for begin in range(0, rows, size):
            part = {name: columns[name][begin : begin + size] for name in self.description.columns}
            n = min(size, rows - begin)
            yield predictive_draws(model, self.description.numbers, Rows(part, None, None, n), values, rng)

    def probabilities(self, columns: Mapping[str, Floats], rows: int, classes: int) -> Floats:
        """Posterior predictive probabilities (n, K) of K classes, for a model whose target is one of them.

        Raises ValueError where the model has other classes.
        """
        model, values = compiled(self.description), np.concatenate(self.posterior.draws)
        if self.description.model.family.support is Support.CATEGORY:
            found = []
            size = max(1, CELLS // (WIDTH * classes))
            for begin in range(0, rows, size):
                part = {name: columns[name][begin : begin + size] for name in self.description.columns}
                given = arrays(self.description, Rows(part, None, None, min(size, rows - begin)))
                found.append(model.classes(values, inputs_of(model, {**given, **self.description.numbers})))
            told = np.concatenate([one for one in found if one is not None])
            if told.shape[1:] != (classes,):
                raise ValueError(f"the model has {told.shape[-1]} classes, and y had {classes}")
            return told
        one = np.concatenate([(o if e is None else e).mean(axis=0) for o, e in self.predict(columns, rows)])
        return np.column_stack([1 - one, one])


def fit_rows(config: Config, columns: Mapping[str, Floats], target: Floats) -> Fitted:
    """The posterior of one entity: `columns` (n,) by name, `target` (n,).

    Raises PanelError for rows that the model cannot take, ModelError where it cannot be built or no method
    finds a posterior.
    """
    check_columns(config, list(columns))
    table = pa.table({ENTITY: [NAME] * len(target), **columns, TARGET: target})
    panel = read_panel(config, table)
    if panel.reasons:
        raise PanelError([reason.replace(f"target {TARGET!r}", "y") for reason in panel.reasons.values()])
    config = fixed(config, panel)
    description = describe(config, panel)
    model, digest = compiled(description), str(panel.digests[0])
    inputs = inputs_of(model, {**arrays(description, panel.rows(NAME)), **description.numbers})
    starts = model.starts(inputs, config.inference.seed, STARTS)
    found = fit(
        model, inputs, starts, Seeds.of(config.inference.seed, digest), config.inference, config.gates
    )
    if isinstance(found, Failure):
        raise ModelError(
            f"no posterior was found: {'; '.join(found.tried) or found.reason}. Do the priors allow these "
            "data? Rescale the features, give narrower priors, or another model"
        )
    reasons = (*open_gates(found, config.gates), *found.reasons)
    return Fitted(config, description, found, model.parameter_names, reasons, digest)


def check_columns(config: Config, known: Sequence[str]) -> None:
    """Raise PanelError where the model reads a column that X does not have."""
    wanted = [name for name in describe(config).columns if name not in known]
    if wanted:
        shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
        raise PanelError(
            [
                f"the model reads the column {name!r}, and X has {shown}; pass a DataFrame with that column, "
                "or write the columns of an array as x0, x1, ..."
                for name in wanted
            ]
        )
