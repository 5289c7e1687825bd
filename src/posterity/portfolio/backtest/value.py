"""A finished backtest: every score, and what to read from them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from posterity.config.schema import percent
from posterity.errors import ConfigError, ResultError
from posterity.lineage import ENGINE_VERSION
from posterity.portfolio import scores as scoring
from posterity.portfolio.manifest import check_file, read_manifest
from posterity.portfolio.scores import SAME_ROW, Comparison
from posterity.portfolio.store import writing

SCORES, ABOUT = "scores.parquet", "backtest.json"


@dataclass(frozen=True, eq=False)
class Backtest:
    """Scores of forecasts from every origin, one row a configuration × origin × row.

    `scores` has `configuration` (ordered; baselines last), `origin`, `fitted` (the origin of the fit),
    `horizon` (steps ahead, from 1), the entity columns, `entity`, `role`, `time`, `observed`, and the columns
    of `posterity.portfolio.scores.score_draws`. `about` says how it was made. `path` is its folder, None
    where it was never saved.
    """

    scores: pd.DataFrame
    about: Mapping[str, Any]
    path: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Configurations in their order, then baselines."""
        return tuple(self.about["names"])

    @property
    def configurations(self) -> tuple[str, ...]:
        """The names without the baselines."""
        return tuple(self.about["configurations"])

    @property
    def common(self) -> pd.DataFrame:
        """The scores of the rows that everybody forecast: the only ones that can stand side by side."""
        keys = [name for name in SAME_ROW if name in self.scores.columns]
        by = self.scores.groupby(keys, observed=True)["configuration"]
        return self.scores[by.transform("nunique") == self.scores["configuration"].nunique()]

    def summary(self, by: Sequence[str] = ("configuration",), *, common: bool = True) -> pd.DataFrame:
        """Means over entities with standard errors over entities, one row a group: see
        `posterity.portfolio.scores.summary`. `by` names columns of the scores, for instance
        `["configuration", "horizon"]`, `["configuration", "role"]` or `["configuration", "entity"]`.

        `common` leaves out rows that not everybody could forecast; what each forecast in all is in
        `about["forecasts"]`.
        """
        return scoring.summary(self.common if common else self.scores, by)

    def compare(self, ours: str, theirs: str, score: str = "crps") -> Comparison:
        """The mean over entities of paired differences, ours less theirs, on the rows that both forecast."""
        return scoring.compare(self.of(ours), self.of(theirs), score)

    def of(self, name: str) -> pd.DataFrame:
        """The scores of one configuration or baseline."""
        if name not in self.names:
            raise ConfigError([f"no configuration {name!r} in this backtest; it has {', '.join(self.names)}"])
        return self.scores[self.scores["configuration"] == name]

    def save(self, folder: str | Path) -> "Backtest":
        """Publish into a folder that holds nothing published yet; returns the backtest that lies there.

        The folder is complete when its manifest exists, as a result's is. Raises ResultError otherwise.
        """
        plain = self.scores.assign(configuration=self.scores["configuration"].astype(str))
        with writing(folder) as draft:
            draft.table(SCORES, pa.Table.from_pandas(plain, preserve_index=False).replace_schema_metadata())
            draft.json(ABOUT, dict(self.about))
            for name, text in self.about.get("configs", {}).items():
                draft.text(f"configs/{self.names.index(name):03d}.yaml", text)
            path = draft.publish(
                run_key=self.about["key"],
                name=self.about["name"],
                engine=ENGINE_VERSION,
                counts=dict(self.about["forecasts"]),
                seconds=sum(self.about["seconds"].values()),
                kind="backtest",
            )
        return replace(self, path=path)

    @classmethod
    def load(cls, folder: str | Path) -> "Backtest":
        """A backtest from its folder; ResultError where there is none, or it is damaged."""
        path = Path(folder)
        manifest = read_manifest(path)
        if manifest.extra.get("kind") != "backtest":
            raise ResultError(f"{path} holds no backtest but a result; open it with posterity.open")
        about = json.loads(check_file(path, ABOUT, manifest).read_text(encoding="utf-8"))
        table = pq.ParquetFile(check_file(path, SCORES, manifest)).read().to_pandas()
        return cls(ordered(table, about["names"]), about, path)

    def show(self) -> None:
        """Print what `str()` gives."""
        print(self)

    def __str__(self) -> str:
        about, masses = self.about, [percent(mass) for mass in self.about["intervals"]]
        origins, every = about["origins"], about["every"]
        refitted = "every origin" if every == 1 else f"every {every} origins"
        head = (
            f"{about['name']}: {len(origins)} origins from {origins[0]} to {origins[-1]}, "
            f"{about['horizon']} steps of {about['step']} ahead, refitted at {refitted}"
        )
        if self.common.empty:
            return f"{head}\nno row was forecast by all of {', '.join(self.names)}"
        table = self.summary()
        shown = pd.DataFrame({"": table["configuration"].astype(str)})
        shown["CRPS"] = [_with_error(a, b) for a, b in zip(table["crps"], table["crps_se"], strict=True)]
        shown["pinball"], shown["MAE"] = table["pinball"].map(_number), table["mae"].map(_number)
        for mass in masses:
            shown[f"in {mass.replace('_', '.')} %"] = (100 * table[f"coverage_{mass}"]).map("{:.1f} %".format)
        shown["entities"], shown["rows"] = table["entities"], table["rows"].map("{:,}".format)
        steps = self.summary(["configuration", "horizon"])
        wide = steps.pivot_table(index="configuration", columns="horizon", values="crps", observed=True)
        text = wide.map(_number).reset_index().rename(columns={"configuration": "CRPS by steps ahead"})
        warnings = "".join(f"\n\nwarning: {warning}" for warning in about.get("warnings", ()))
        return f"{head}\n\n{shown.to_string(index=False)}\n\n{text.to_string(index=False)}{warnings}"

    def __repr__(self) -> str:
        return f"<Backtest {str(self).splitlines()[0]}>"


def ordered(scores: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The scores with `configuration` in the order of the names."""
    kind = pd.CategoricalDtype(list(names), ordered=True)
    return scores.assign(configuration=scores["configuration"].astype(kind))


def _number(value: float) -> str:
    return f"{value:.4g}"


def _with_error(value: float, error: float) -> str:
    return f"{value:.4g} ± {error:.2g}"
