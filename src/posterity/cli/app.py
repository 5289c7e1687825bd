"""The commands."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

app = App(
    name="posterity",
    help="Portfolios of Bayesian models: fit every entity, look at what came out, predict.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object as the last line.")]
Data = Annotated[str | None, Parameter(help="The panel: file, folder, glob or URL; overrides data.source.")]
Entities = Annotated[
    str | None, Parameter(help='Only these entities: names as in the tables, separated by ",".')
]


@app.command
def check(config: Path, *, data: Data = None, entities: Entities = None, json: Json = False) -> int:
    """Validate a configuration and its data, and show what a fit would do. Fits nothing, writes nothing."""
    from posterity.cli import show
    from posterity.portfolio.portfolio import Portfolio

    plan = Portfolio(config).plan(data, entities=_names(entities))
    if json:
        show.as_json(show.planned(plan))
    else:
        show.plan(plan, before=True)
    return 0


@app.command
def fit(
    config: Path,
    *,
    data: Data = None,
    out: Annotated[
        Path | None, Parameter(help="Result folder; default runs/NAME/KEY, the key being that of the inputs.")
    ] = None,
    method: Annotated[
        Literal["auto", "laplace", "nuts"] | None, Parameter(help="Overrides inference.method.")
    ] = None,
    workers: Annotated[
        int | None, Parameter(help="Processes; 0 fits in this one. Default: one a core.")
    ] = None,
    entities: Entities = None,
    json: Json = False,
) -> int:
    """Fit every entity of a panel, without Prefect or MLflow.

    The same inputs find their finished result; a run that was stopped goes on where it was.
    """
    import time

    from posterity.cli import show
    from posterity.cli.progress import progress
    from posterity.config import load, with_overrides
    from posterity.portfolio.portfolio import Portfolio, run

    begin = time.perf_counter()
    loaded = load(config)
    if method is not None:
        loaded = with_overrides(loaded, {"inference.method": method})
    plan = Portfolio(loaded).plan(data, entities=_names(entities))
    if not json:
        show.plan(plan)
    with progress(len(plan.fittable), quiet=json) as listen:
        done = run(plan, out=out, workers=workers, listen=listen)
    seconds = time.perf_counter() - begin
    if json:
        show.as_json({**done.counts, "result": str(done.result.path), "seconds": round(seconds, 2)})
    else:
        show.run(done, seconds)
    return int(done.too_many_failed)


@app.command
def refit(
    result: str,
    *,
    data: Annotated[
        str, Parameter(help="The delivery: new rows, or the whole panel again; file, folder, glob or URL.")
    ],
    out: Annotated[
        Path | None,
        Parameter(help="Folder of the new version; default runs/NAME/KEY, the key being that of the inputs."),
    ] = None,
    mode: Annotated[
        Literal["exact", "carry", "reweight"] | None,
        Parameter(help="Overrides refit.mode, here and in the versions after."),
    ] = None,
    config: Annotated[Path | None, Parameter(help="Configuration in place of the result's own.")] = None,
    workers: Annotated[
        int | None, Parameter(help="Processes; 0 fits in this one. Default: one a core.")
    ] = None,
    json: Json = False,
) -> int:
    """Take new rows into the posteriors of a result; every chunk of time makes a version of its own.

    RESULT is a folder, runs:/RUN_ID of MLflow, models:/NAME@ALIAS, or `latest` of the portfolio that
    --config names. Rows that are inside already are not counted again. A refit that was stopped goes on where
    it was.
    """
    import time

    from posterity.cli import refits, show
    from posterity.cli.progress import progress
    from posterity.config import load
    from posterity.portfolio.account import account
    from posterity.portfolio.refit.run import refit as take_in
    from posterity.tracking.results import find

    begin = time.perf_counter()
    settings = None if config is None else load(config)
    base = find(
        result,
        uri=None if settings is None else settings.tracking.uri,
        name=None if settings is None else settings.name,
    )
    with progress(None, quiet=json, what="updating") as listen:
        done = take_in(base, data, config=settings, mode=mode, out=out, workers=workers, listen=listen)
    told, seconds = account(base, done), time.perf_counter() - begin
    if json:
        show.as_json(refits.facts(done, told, seconds))
    else:
        refits.refitted(done, told, seconds)
    return int(done.too_many_failed)


@app.command(name="show")
def show_(result: Path, entity: str | None = None, *, json: Json = False) -> int:
    """Summarise a result, or one entity of it, in the terminal."""
    import posterity
    from posterity.cli import show

    opened = posterity.open(result)
    if entity is None:
        show.as_json(show.overview(opened)) if json else show.result(opened)
    else:
        show.as_json(show.about(opened, entity)) if json else show.entity(opened, entity)
    return 0


@app.command(version_flags=[])
def predict(
    result: Path,
    *,
    rows: Annotated[
        str | None, Parameter(help="File with the rows to predict: entity columns and inputs.")
    ] = None,
    horizon: Annotated[
        int | None, Parameter(help="Predict so many steps after each entity's last time.")
    ] = None,
    interval: Annotated[float, Parameter(help="Mass of the interval.")] = 0.9,
    version: Annotated[
        int | None, Parameter(help="Predict as of this earlier version; default: RESULT itself.")
    ] = None,
    out: Annotated[
        Path | None, Parameter(help="Parquet or CSV file to write; default: CSV to the terminal.")
    ] = None,
) -> int:
    """Predict new rows, with intervals; without --rows and --horizon those that have no target yet."""
    import sys

    import posterity
    from posterity.errors import ConfigError
    from posterity.portfolio import ranges
    from posterity.portfolio.horizon import next_rows

    opened = posterity.open(result)
    if version is not None:
        opened = opened.as_of(version)
    if (rows is None) == (horizon is None) and (rows is not None or opened.unobserved.empty):
        raise ConfigError(["give either --rows FILE or --horizon N; no row without a target is still open"])
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise ConfigError([f"--out {out}: the name must end in .csv or .parquet"])
    table = opened.predict(rows if horizon is None else next_rows(opened, horizon), interval=interval)
    for doubt in ranges.doubts(opened.config, table):
        print(f"note {doubt}", file=sys.stderr)
    if out is None:
        table.to_csv(sys.stdout, index=False)
    elif out.suffix == ".csv":
        table.to_csv(out, index=False)
    else:
        table.to_parquet(out, index=False)
    return 0


@app.command
def lineage(result: Path, entity: str, *, json: Json = False) -> int:
    """Where the posterior of an entity came from: its versions, configuration, data, prior, code."""
    import posterity
    from posterity.cli import chained, refits, show

    opened = posterity.open(result)
    graph = opened.lineage(entity)
    if json:
        told = {"assumptions": chained.assumed(opened, entity), "stale": opened.stale().about(entity)}
        show.as_json({**graph.to_dict(), "versions": refits.versions(opened, entity), **told})
    else:
        show.lineage(graph, entity)
        refits.chain(opened, entity)
        chained.lineage(opened, entity)
    return 0


@app.command
def export(
    result: Path,
    entity: str,
    *,
    out: Annotated[
        Path, Parameter(help="Configuration to write; the joint prior comes beside it, x.prior.yaml.")
    ] = Path("trained.yaml"),
) -> int:
    """Write the configuration that an entity's posterior trained, and its joint prior beside it."""
    import posterity
    from posterity.errors import ConfigError
    from posterity.portfolio.export import export as trained

    if out.suffix not in (".yaml", ".yml"):
        raise ConfigError([f"--out {out}: the name must end in .yaml"])
    exported = trained(posterity.open(result), entity)
    for note in exported.notes:
        print(f"note: {note}")
    config, prior = exported.write(out)
    print(f"{config}, its joint prior in {prior}")
    return 0


@app.command
def animate(
    result: Path,
    entity: str,
    *,
    out: Annotated[Path, Parameter(help="GIF to write.")],
    frames: Annotated[
        Path | None, Parameter(help="Folder for the frames, 01.png, 02.png and so on; none: the GIF alone.")
    ] = None,
) -> int:
    """Draw how an entity's predictive band tightened, version by version, as rows arrived."""
    import posterity
    from posterity.errors import ConfigError
    from posterity.report.animation import animation, write
    from posterity.report.frames import versions

    if out.suffix != ".gif":
        raise ConfigError([f"--out {out}: the name must end in .gif"])
    pngs = animation(versions(posterity.open(result)), entity)
    for folder in (out.parent, frames):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    print(f"{write(pngs, out, frames)}: {len(pngs)} frame{'' if len(pngs) == 1 else 's'}")
    return 0


@app.command
def schema() -> int:
    """Print the JSON Schema of configurations, for editors."""
    import json

    from posterity.config import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


@app.command
def simulate(
    panel: Literal[
        "adoption", "dose-response", "choices", "assay", "potency", "toxicity", "visits", "trends"
    ],
    *,
    out: Annotated[Path, Parameter(help="Folder for PANEL.parquet and PANEL_truth.parquet.")],
    products: Annotated[int, Parameter(help="adoption: products, each in every region.")] = 24,
    regions: Annotated[int, Parameter(help="adoption: regions.")] = 5,
    weeks: Annotated[
        int | None, Parameter(help="adoption (52), choices (26), trends (104): rows an entity.")
    ] = None,
    shops: Annotated[int | None, Parameter(help="choices (12) and visits (3): shops.")] = None,
    groups: Annotated[int, Parameter(help="dose-response: groups, each with a curve.")] = 3_000,
    rows: Annotated[
        int | None, Parameter(help="dose-response (134) and visits (4,000): rows an entity.")
    ] = None,
    compounds: Annotated[int, Parameter(help="potency and toxicity: compounds, the same in both.")] = 40,
    seed: int = 2026,
) -> int:
    """Write a sample panel with known truth."""
    import pyarrow.parquet as pq

    from posterity.panel import assays, simulation

    if panel == "adoption":
        table, truth = simulation.adoption(products, regions, weeks or 52, seed)
    elif panel == "choices":
        table, truth = simulation.choices(shops or 12, weeks or 26, seed)
    elif panel == "visits":
        table, truth = simulation.visits(shops or 3, rows or 4_000, seed)
    elif panel == "assay":
        table, truth = simulation.assay(seed=seed)
    elif panel in ("potency", "toxicity"):
        make = assays.potency if panel == "potency" else assays.toxicity
        table, truth = make(compounds, seed=seed)
    elif panel == "trends":
        table, truth = simulation.trends(weeks=weeks or 104, seed=seed)
    else:
        table, truth = simulation.dose_response(groups, rows or 134, seed)
    name = panel.replace("-", "_")
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out / f"{name}.parquet", compression="zstd")
    pq.write_table(truth, out / f"{name}_truth.parquet", compression="zstd")
    print(f"{table.num_rows:,} rows in {out / f'{name}.parquet'}, the truth beside it")
    return 0


def _names(entities: str | None) -> tuple[str, ...] | None:
    return None if entities is None else tuple(name.strip() for name in entities.split(",") if name.strip())
