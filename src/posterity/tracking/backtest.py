"""A backtest in MLflow: one run with its tables, figure, and metrics by configuration."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from posterity.portfolio.backtest import Backtest
from posterity.report.backtest import backtest_png
from posterity.tracking import names
from posterity.tracking.connect import connect
from posterity.tracking.entity import plain
from posterity.tracking.lifetime import started
from posterity.tracking.tracker import NOTE, TAG_CHARACTERS, Tracker

KIND = "backtest"
"""The tag `posterity.kind` of such a run."""
_SCORES = ("crps", "crps_se", "pinball", "mae")


def track_backtest(
    backtest: Backtest,
    *,
    uri: str | None = None,
    experiment: str | None = None,
    tags: Mapping[str, str] | None = None,
    tracker: Tracker | None = None,
) -> str:
    """Record a backtest as a run of its own; returns the run's id.

    `experiment` defaults to the first configuration's name, so that a backtest lies beside the runs it is
    about; `tracker` takes the place of both. Metrics are those of `metrics`; files are `backtest.json`, the
    configurations, tables of the scores and of their means, and the figure.

    Raises ConfigError and TrackingError.
    """
    keeper = tracker or connect(uri, experiment or backtest.configurations[0])
    title = names.run_name(f"backtest {backtest.about['name']}")
    with ExitStack() as stack:
        opened = stack.enter_context(started(title, experiment=keeper.experiment, tracker=keeper))
        run_id = opened.run_id
        identity = {"posterity.kind": KIND, "run_key": str(backtest.about["key"])}
        keeper.log(
            run_id,
            metrics=metrics(backtest),
            params=params(backtest),
            tags={**identity, **(tags or {}), NOTE: note(backtest)},
        )
        with tempfile.TemporaryDirectory(prefix="posterity-") as scratch:
            _write(backtest, Path(scratch))
            keeper.attach(run_id, Path(scratch))
    return run_id


def metrics(backtest: Backtest) -> dict[str, float]:
    """`crps.NAME`, `crps_se.NAME`, `pinball.NAME`, `mae.NAME` and `coverage_P.NAME` of every configuration
    and baseline on the rows that all forecast; `crps.NAME.K` and `coverage_P.NAME.K` by steps ahead K;
    `skill.NAME`, the share of the naive forecast's CRPS that is saved; `rows`, `entities`, seconds by stage.
    """
    found: dict[str, float] = {f"seconds_{k}": float(v) for k, v in backtest.about["seconds"].items()}
    if not backtest.common.empty:
        table = backtest.summary()
        shares = [c for c in table.columns if c.startswith("coverage_") and not c.endswith("_se")]
        found |= {"entities": float(table["entities"].iloc[0]), "rows": float(table["rows"].iloc[0])}
        naive = table.loc[table["configuration"] == "naive", "crps"]
        for row in table.to_dict("records"):
            name = row["configuration"]
            found |= {names.key(f"{score}.{name}"): row[score] for score in (*_SCORES, *shares)}
            if len(naive) and naive.iloc[0] > 0:
                found[names.key(f"skill.{name}")] = 1 - row["crps"] / float(naive.iloc[0])
        for row in backtest.summary(["configuration", "horizon"]).to_dict("records"):
            name, step = row["configuration"], row["horizon"]
            found |= {names.key(f"{score}.{name}.{step}"): row[score] for score in ("crps", *shares)}
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def params(backtest: Backtest) -> dict[str, str]:
    """How the backtest was made."""
    about = backtest.about
    origins = about["origins"]
    found = {k: about[k] for k in ("horizon", "every", "step", "season", "clock")}
    found |= {"origins": len(origins), "first_origin": origins[0], "last_origin": origins[-1]}
    found |= {"configurations": ", ".join(backtest.configurations)}
    return {name: str(value) for name, value in found.items() if value is not None}


def note(backtest: Backtest) -> str:
    """What it says on the run's page, in Markdown, at most 8,000 characters."""
    head = str(backtest).splitlines()[0]
    files = "Files: `scores.parquet` every score, `by_*.csv` their means, `backtest.png`, `configs`."
    rows = [] if backtest.common.empty else markdown(backtest).splitlines()
    lines = [plain(head, 500), ""]
    room = TAG_CHARACTERS - 100 - len(head) - len(files)
    for row in rows:
        room -= len(row) + 1
        if room < 0:
            break
        lines.append(row)
    return "\n".join([*lines, "", files])


def markdown(backtest: Backtest) -> str:
    """The configurations side by side as a Markdown table."""
    table = backtest.summary()
    shares = [c for c in table.columns if c.startswith("coverage_") and not c.endswith("_se")]
    titles = ["", "CRPS", "pinball", "MAE", *(f"in {_mass(c)} %" for c in shares), "entities", "rows"]
    lines = [_row(titles), _row([":--", *["--:"] * (len(titles) - 1)])]
    for row in table.to_dict("records"):
        scores = [f"{row['crps']:.4g} ± {row['crps_se']:.2g}", f"{row['pinball']:.4g}", f"{row['mae']:.4g}"]
        inside = [f"{row[c]:.1%}" for c in shares]
        sizes = [f"{row['entities']:,}", f"{row['rows']:,}"]
        lines.append(_row([plain(str(row["configuration"]), 60), *scores, *inside, *sizes]))
    return "\n".join(lines)


def _mass(column: str) -> str:
    return column.removeprefix("coverage_").replace("_", ".")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _write(backtest: Backtest, folder: Path) -> None:
    """All files of the run."""
    import json

    plainly = backtest.scores.assign(configuration=backtest.scores["configuration"].astype(str))
    plainly.to_parquet(folder / "scores.parquet", index=False)
    (folder / "backtest.json").write_text(json.dumps(dict(backtest.about), indent=1), encoding="utf-8")
    for name, by in {
        "by_configuration": ["configuration"],
        "by_horizon": ["configuration", "horizon"],
        "by_origin": ["configuration", "origin"],
        "by_role": ["configuration", "role"],
        "by_entity": ["configuration", "entity"],
    }.items():
        table = backtest.summary(by) if not backtest.common.empty else pd.DataFrame()
        table.to_csv(folder / f"{name}.csv", index=False)
    configs = folder / "configs"
    configs.mkdir()
    for number, text in enumerate(backtest.about["configs"].values()):
        (configs / f"{number:03d}.yaml").write_text(text, encoding="utf-8")
    image = backtest_png(backtest)
    if image is not None:
        (folder / "backtest.png").write_bytes(image)
