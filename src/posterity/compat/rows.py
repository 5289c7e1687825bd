"""X and Y as the rows of a portfolio of one, and predictions from a trace."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from posterity.config import Config
from posterity.config.words import listed
from posterity.errors import PanelError
from posterity.inference.compiled import compiled
from posterity.inference.fit import Seeds
from posterity.inference.posterior import Floats
from posterity.lineage.hashing import digest
from posterity.models import describe
from posterity.panel import Rows, read
from posterity.portfolio.predictive import predictive_draws

if TYPE_CHECKING:
    import xarray as xr


def table(X: Any, config: Config, names: tuple[str, ...], Y: Any = None) -> pd.DataFrame:  # noqa: N803
    """The rows as a table: independent variables, the only entity, and the target if Y is given.

    The entity is named after the rows, because a prior is not used for an entity that taught it: the same
    rows would count twice.

    X is a DataFrame, a mapping of columns, or an array (n, k) of the independent variables in their order;
    Y (n,). Raises PanelError where shapes or columns are not what is needed.
    """
    frame = _frame(X, names)
    entity = "rows"
    if Y is not None:
        target = np.asarray(Y)
        if target.ndim == 2 and target.shape[1] == 1:
            target = target[:, 0]
        if target.shape != (len(frame),):
            said = (
                f"Y has the shape {target.shape} and X {len(frame):,} rows; give one value of Y for each row"
            )
            raise PanelError([said])
        frame[config.data.target] = target
        hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
        entity = f"rows {hashlib.sha256(hashes.tobytes()).hexdigest()[:16]}"
    frame[config.data.entity[0]] = entity
    return frame


def _frame(X: Any, names: tuple[str, ...]) -> pd.DataFrame:  # noqa: N803
    if isinstance(X, pd.DataFrame | Mapping):
        frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(dict(X))
        if missing := [name for name in names if name not in frame.columns]:
            here = listed(frame.columns, "and") or "none"
            said = f"X lacks the independent_vars {listed(missing, 'and')}; its columns are {here}"
            raise PanelError([said])
        return frame[list(names)].reset_index(drop=True)
    values = np.asarray(X)
    values = values[:, None] if values.ndim == 1 and len(names) == 1 else values
    if values.ndim != 2 or values.shape[1] != len(names):
        wanted = f"give a DataFrame, or an array (n, {len(names)}) of {listed(names, 'and')}"
        raise PanelError([f"X has the shape {np.shape(X)}; {wanted}"])
    return pd.DataFrame(dict(zip(names, values.T, strict=True)))


def flat(trace: "xr.DataTree", name: str) -> Floats:
    """Draws of a scalar parameter (S,), chain after chain."""
    values = trace["posterior"][name].transpose("chain", "draw")
    return np.asarray(values, np.float64).reshape(-1)


def predicted(trace: "xr.DataTree", config: Config, frame: pd.DataFrame, block: int) -> Iterator[Floats]:
    """Draws of new observations (S, n) at at most `block` rows of `table` after another."""
    if frame.empty:
        return
    model = compiled(describe(config))
    panel = read(frame, entity=config.data.entity, columns=model.description.columns)
    if panel.reasons:
        raise PanelError([*panel.reasons.values()])
    rows = panel.rows(panel.entities[0])
    values = np.column_stack([flat(trace, name) for name in model.parameter_names])
    key = str(trace.attrs.get("fit_key") or digest(model.description.key))
    rng = np.random.default_rng(Seeds.of(config.inference.seed, key).predict)
    for start in range(0, rows.n, block):
        yield predictive_draws(
            model, model.description.numbers, _part(rows, start, start + block), values, rng
        )[0]


def _part(rows: Rows, start: int, stop: int) -> Rows:
    columns = {name: values[start:stop] for name, values in rows.columns.items()}
    return Rows(columns, None, None, min(stop, rows.n) - start)
