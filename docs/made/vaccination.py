"""Tables and figures of `vaccination.md`.

    POSTERITY_VACCINATION=panel.parquet python docs/made/vaccination.py

Three portfolios are fitted into `runs/`: the panel, the panel without the last eight weeks of every country,
and that again with independent errors. Minutes the first time, seconds afterwards.
"""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from insert import DOCS, rewrite
from picture import picture

from posterity import Portfolio, Result
from posterity.config import load, with_overrides
from posterity.config.schema import Config
from posterity.report.entity import entity_png
from posterity.report.multiples import multiples_png
from posterity.report.view import Band, EntityView, entity_view, entity_views

SHOWN = (
    *("Gibraltar", "Bhutan", "Israel", "Chile", "Japan", "Mongolia", "Portugal", "Ecuador"),
    *("San Marino", "South Africa", "Cook Islands", "Zambia"),
)
"""Countries in the small multiples: easy ones, and every kind of trouble that the page names."""
ONE = "Israel"
AHEAD = 8
FEWEST = 10
"""Countries with fewer rows before the last eight weeks are not forecast."""
MASSES = (0.5, 0.9)


def main() -> None:
    """Fit what is not fitted yet, and write tables and figures."""
    config = load(DOCS.parent / "configs" / "vaccination.yaml")
    panel = pd.read_parquet(os.environ["POSTERITY_VACCINATION"])
    result = Portfolio(config).fit(panel)
    picture("vaccination", multiples_png(list(entity_views(result, SHOWN, marginals=False)), *HEADING))
    picture("vaccination-israel", entity_png(entity_view(result, ONE)))
    page = DOCS / "vaccination.md"
    rewrite(page, "fits", fits(result))
    known, held_out = split(panel)
    dependent = Portfolio(config).fit(known)
    independent = Portfolio(without_memory(config)).fit(known)
    forecasts = {"AR(1)": forecast(dependent, held_out), "independent": forecast(independent, held_out)}
    rewrite(page, "forecasts", horizons(forecasts))
    views = [
        ahead(dependent, forecasts["AR(1)"], entity) for entity in SHOWN if entity in set(known["entity"])
    ]
    picture("vaccination-forecasts", multiples_png(views, *AHEAD_HEADING))


HEADING = (
    "First doses by country",
    "share of the population by week since the first report; one-step-ahead median, 50 and 90 % intervals",
)
AHEAD_HEADING = (
    "The last eight weeks, forecast",
    "fitted without them: one step ahead before, up to eight weeks ahead from the last week that was fitted",
)


def split(panel: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows up to eight weeks before each country's last, and the rows after that."""
    late = panel["week"] > panel.groupby("entity")["week"].transform("max") - AHEAD
    enough = (~late).groupby(panel["entity"]).transform("sum") >= FEWEST
    return panel[enough & ~late], panel[enough & late]


def without_memory(config: Config) -> Config:
    """The same model with independent errors."""
    return with_overrides(config, {"name": "vaccination independent", "model.likelihood.errors": None})


def forecast(result: Result, held_out: pd.DataFrame) -> pd.DataFrame:
    """Predictions at the held-out rows, with what was observed and how far ahead they are, in weeks."""
    predicted = result.predict(held_out[["entity", "week"]], interval=MASSES)
    table = predicted.merge(held_out[["entity", "week", "adoption"]], on=["entity", "week"])
    last = result.entities.set_index("entity")["last_time"]
    return table.assign(ahead=table["week"] - table["entity"].map(last))


def fits(result: Result) -> str:
    """The portfolio in one table, and the countries of the figure in another."""
    entities = result.entities
    rows = entities["n_rows"]
    in_50, in_90, mae = (np.average(entities[c], weights=rows) for c in ("coverage_50", "coverage_90", "mae"))
    counts, methods = result.counts, entities["method"].value_counts()
    lines = [
        "| countries | rows | ok | flagged | failed | laplace | adaptive | nuts | in 50 % | in 90 % | MAE |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        f"| {len(entities)} | {rows.sum():,} | "
        + " | ".join(str(counts.get(s, 0)) for s in ("ok", "flagged", "failed"))
        + " | "
        + " | ".join(str(methods.get(m, 0)) for m in ("laplace", "adaptive", "nuts"))
        + f" | {percent(in_50, 1)} | {percent(in_90, 1)} | {mae:.4f} |",
        "",
        "| country | rows | method | ceiling | rate | delay | sigma | rho | in 90 % |",
        "|:--|--:|:--|--:|--:|--:|--:|--:|--:|",
    ]
    parameters = result.parameters.set_index(["entity", "parameter"])
    for row in entities[entities["entity"].isin(SHOWN)].to_dict("records"):
        cells = [
            spelled(parameters.loc[(row["entity"], p)]) for p in ("ceiling", "rate", "delay", "sigma", "rho")
        ]
        flag = "" if row["status"] == "ok" else f" ({row['status']})"
        lines.append(
            f"| {row['entity']}{flag} | {row['n_rows']} | {row['method']} | {' | '.join(cells)} "
            f"| {percent(row['coverage_90'])} |"
        )
    flagged = entities[entities["status"] == "flagged"]
    lines += ["", "Flagged: " + "; ".join(f"{r.entity} ({r.reason})" for r in flagged.itertuples()) + "."]
    return "\n".join(lines)


def spelled(row: "pd.Series[float]") -> str:
    """Posterior mean ± standard deviation."""
    digits = 1 if row["sd"] > 0.3 else 2 if row["sd"] > 0.02 else 3
    return f"{row['mean']:.{digits}f} ± {row['sd']:.{digits}f}"


def percent(share: float, digits: int = 0) -> str:
    """0.925 as `92.5 %`."""
    return f"{100 * share:.{digits}f} %"


def horizons(forecasts: dict[str, pd.DataFrame]) -> str:
    """Coverage and width of 90 % intervals and the mean absolute error by weeks ahead, for each model."""
    names = list(forecasts)
    head = [f"{what}, {name}" for what in ("in 90 %", "width", "MAE") for name in names]
    lines = [f"| weeks ahead | forecasts | {' | '.join(head)} |", "|--:" * (2 + len(head)) + "|"]
    groups = [(str(h), h, h) for h in range(1, AHEAD + 1)] + [("1 to 8", 1, AHEAD)]
    for label, low, high in groups:
        chosen = {n: f[f["ahead"].between(low, high)] for n, f in forecasts.items()}
        cells = [percent(inside(f).mean()) for f in chosen.values()]
        cells += [f"{(f['upper_90'] - f['lower_90']).median():.3f}" for f in chosen.values()]
        cells += [f"{(f['adoption'] - f['median']).abs().mean():.4f}" for f in chosen.values()]
        lines.append(f"| {label} | {len(chosen[names[0]]):,} | {' | '.join(cells)} |")
    number = forecasts[names[0]]["entity"].nunique()
    who = f"{number} countries, all those with {FEWEST} rows or more before their last {AHEAD} weeks."
    lines += ["", f"{who} Widths are medians."]
    return "\n".join(lines)


def inside(table: pd.DataFrame) -> "pd.Series[bool]":
    """Whether the 90 % interval holds what was observed."""
    return table["adoption"].between(table["lower_90"], table["upper_90"])


def ahead(result: Result, forecasts: pd.DataFrame, entity: str) -> EntityView:
    """The view of a country with its forecasts behind the rows that were fitted."""
    view = entity_view(result, entity, marginals=False)
    rows = forecasts[forecasts["entity"] == entity].sort_values("week")

    def longer(values: "np.ndarray", column: str) -> "np.ndarray":
        return np.concatenate([values, rows[column].to_numpy(dtype=np.float64)])

    def widened(bands: Sequence[Band]) -> tuple[Band, ...]:
        names = [f"{100 * band.mass:.0f}" for band in bands]
        pairs = zip(bands, names, strict=True)
        return tuple(
            Band(b.mass, longer(b.lower, f"lower_{n}"), longer(b.upper, f"upper_{n}")) for b, n in pairs
        )

    return replace(
        view,
        x=longer(view.x.astype(np.float64), "week"),
        observed=longer(view.observed, "adoption"),
        median=longer(view.median, "median"),
        bands=widened(view.bands),
    )


if __name__ == "__main__":
    main()
