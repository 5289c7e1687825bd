"""A result made ready to predict: what a server loads once and asks many times.

Nothing is compiled to machine code for it: the predictive distribution is evaluated by NumPy's own loops,
the same ones as in `Result.predict`, so that a served number is the number of the library.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytensor

from posterity.config.schema import percent
from posterity.errors import ConfigError, PanelError
from posterity.inference.compiled import compiled
from posterity.panel import Panel, read
from posterity.portfolio.predict import described, predict
from posterity.portfolio.result import Result, open_result

UNKNOWN = "unknown"
"""Status of rows whose entity the result does not know."""

NUMBERS = ("mean", "median", "lower", "upper")
"""What is said of a new observation; missing where there is no posterior."""
ANSWERS = ("predicted", "probability")
"""What is said beside that of a target that is the number of a class; and whether there is an answer."""
ABSTAINED = "abstained"

_ROW = "row of the request"


class Server:
    """Predictions of one result, whatever entities are asked for.

    All work is done in one thread of its own: compiled functions belong to the thread that made them, and
    servers answer from many.
    """

    def __init__(self, result: Result) -> None:
        self.result = result
        self._entities = result.entities["entity"].to_numpy(dtype=object)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="posterity-predict")
        self._thread.submit(self._warm).result()

    @classmethod
    def open(cls, path: str | Path) -> "Server":
        """Open the result in a folder and read its draws. Raises ResultError where it is none."""
        return cls(open_result(path))

    def predict(self, rows: pd.DataFrame, interval: float = 0.9) -> pd.DataFrame:
        """A row out for each row in, in the same order.

        `rows` needs the entity columns and the model's inputs. Columns: those, `status` (that of the fit, or
        `unknown`), then `mean`, `median`, `lower` and `upper` of a new observation, equal-tailed and of the
        mass `interval`; of classes also `predicted`, `probability` and, where abstaining is configured,
        `abstained`. Raises PanelError for rows that cannot be read, ConfigError for a mass that is none.
        """
        return self._thread.submit(self._predict, rows, interval).result()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _warm(self) -> None:
        self.result.table("draws.parquet")
        model = compiled(described(self.result))
        assert model.parameter_names
        first = example(self.result, 1)
        if len(first):  # the functions are made when first called
            # PyTensor would build a loop of its own in C, once a machine, which nothing here runs.
            with pytensor.config.change_flags(cxx=""):
                self._predict(first, 0.9)

    def _predict(self, rows: pd.DataFrame, interval: float) -> pd.DataFrame:
        if not 0 < interval < 1:
            raise ConfigError([f"interval {interval!r} is no mass between 0 and 1, for instance 0.9"])
        if not len(rows):
            raise PanelError(["there are no rows to predict"])
        given, names, order = self._ordered(rows)
        known = pd.Series(names).isin(self._entities).to_numpy()
        numbers = dict(zip(NUMBERS, _names(interval), strict=True)) | {name: name for name in self._answers}
        found: dict[str, Any] = {name: np.full(len(given), np.nan) for name in numbers}
        if self.result.config.abstain is not None:
            found[ABSTAINED] = np.full(len(given), None, dtype=object)
        status = np.full(len(given), UNKNOWN, dtype=object)
        if known.any():
            table = predict(self.result, given[known], interval, expected=False)
            status[known] = table["status"].to_numpy()
            for name, theirs in numbers.items():
                if theirs in table:
                    found[name][known] = table[theirs].to_numpy(dtype=np.float64, na_value=np.nan)
            if ABSTAINED in found and ABSTAINED in table:
                found[ABSTAINED][known] = table[ABSTAINED].to_numpy(dtype=object)
        out = given.assign(status=status, **found)
        return out.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)

    @property
    def _answers(self) -> tuple[str, ...]:
        return ANSWERS if self.result.config.model.family.classifies else ()

    def _ordered(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, Any, Any]:
        """The needed columns in the order of `predict`, the entity of each row, and where it came from."""
        data = self.result.config.data
        needed = list(inputs(self.result))
        if missing := [name for name in needed if name not in rows.columns]:
            raise PanelError(
                [f"no column {name!r}; rows to predict have {', '.join(needed)}" for name in missing]
            )
        row = np.arange(len(rows), dtype=np.float64)
        numbered = rows[needed].reset_index(drop=True).assign(**{_ROW: row})
        panel = read(numbered, entity=data.entity, time=data.time, columns=[_ROW])
        order = panel.arrays[_ROW].astype(np.int64)
        return numbered.drop(columns=_ROW).iloc[order], _entity_of_rows(panel), order


def inputs(result: Result) -> Mapping[str, str]:
    """The columns that a prediction needs and what each is: `entity`, `time`, `number` or `text`."""
    data, description = result.config.data, described(result)
    found = dict.fromkeys(data.entity, "entity")
    if data.time is not None:
        found[data.time] = "time"
    seen = result.intervals.dtypes
    for name in description.columns:
        if name not in found:
            found[name] = "number" if pd.api.types.is_numeric_dtype(seen[name]) else "text"
    return found


def example(result: Result, rows: int = 5) -> pd.DataFrame:
    """Rows that the result can predict: the last observed ones of its first fitted entities."""
    data = result.config.data
    seen = result.intervals
    entities = result.entities.set_index("entity")
    last = seen.groupby("entity", sort=True).tail(1).head(rows)
    columns: dict[str, Any] = {
        name: entities.loc[last["entity"], name].to_numpy(dtype=object) for name in data.entity
    }
    for name, kind in inputs(result).items():
        if kind == "time":
            columns[name] = last["time"].to_numpy()
        elif kind != "entity":
            columns[name] = last[name].to_numpy()
    return pd.DataFrame(columns)


def _entity_of_rows(panel: Panel) -> Any:
    return np.repeat(np.array(panel.entities, dtype=object), panel.counts)


def _names(interval: float) -> tuple[str, ...]:
    mass = percent(interval)
    return "mean", "median", f"lower_{mass}", f"upper_{mass}"
