"""The rows that come next: what `posterity predict --horizon` asks about."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from posterity.errors import ConfigError
from posterity.models import describe

if TYPE_CHECKING:
    from posterity.portfolio.result import Result


def next_rows(result: "Result", horizon: int) -> pd.DataFrame:
    """`horizon` rows after each fitted entity's last time, at its usual step (the median gap of its rows).

    Raises ConfigError for a model with inputs besides time: their future values are not known, so rows must
    be given.
    """
    config = result.config
    time = config.data.time
    others = [c for c in describe(config).columns if c != time and c not in config.data.entity]
    if time is None or others:
        what = f"the model also needs {', '.join(others)}" if others else "the panel has no time column"
        raise ConfigError(
            [f"--horizon works for models of time alone; {what}: give the rows to predict with --rows"]
        )
    if horizon < 1:
        raise ConfigError([f"--horizon {horizon}: give at least 1"])
    fitted = result.entities[result.entities["status"] != "failed"]
    times = result.intervals.groupby("entity", sort=False)["time"]
    step = times.agg(lambda t: t.diff().median()).fillna(_unit(result.intervals["time"]))
    last = times.max()
    frames, whole = [], pd.api.types.is_integer_dtype(result.intervals["time"])
    for about in fitted.to_dict("records"):
        entity = about["entity"]
        future = [last[entity] + (i + 1) * step[entity] for i in range(horizon)]
        if whole and step[entity] % 1 == 0:
            future = [int(t) for t in future]
        frames.append(pd.DataFrame({**{c: about[c] for c in config.data.entity}, time: future}))
    return pd.concat(frames, ignore_index=True)


def _unit(times: "pd.Series[float]") -> Any:
    return pd.Timedelta(days=1) if pd.api.types.is_datetime64_any_dtype(times) else 1
