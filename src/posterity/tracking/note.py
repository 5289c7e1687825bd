"""The Markdown on the parent run's page: what ran, counts, entities to look at first, where things are."""

from collections.abc import Mapping

from posterity.portfolio.result import Result
from posterity.report.view import PortfolioView
from posterity.tracking import chained
from posterity.tracking.address import fragment
from posterity.tracking.entity import coverages, plain
from posterity.tracking.portfolio import methods, ranked
from posterity.tracking.tracker import TAG_CHARACTERS

_MOST = 12


def portfolio_note(
    result: Result,
    view: PortfolioView,
    values: Mapping[str, float],
    runs: Mapping[str, str],
    experiment_id: str,
    troubles: int = 0,
    version: str = "",
) -> str:
    """At most 8,000 characters. `values` are the portfolio's metrics, `runs` the run ids of entities,
    `version` a sentence on what a refit did.
    """
    total = len(view.entity)
    # MLflow folds the note after a few lines, so the first one says what matters most.
    states = ", ".join(f"**{n:,}** {plain(s, 40)}" for s, n in result.counts.items())
    lines = [f"{total:,} entities, {values['n_rows']:,.0f} rows: {states}", ""]
    lines += [version, ""] if version else []
    lines += ["| status | entities | share |", "|:--|--:|--:|"]
    lines += [f"| {plain(s, 40)} | {n:,} | {n / max(total, 1):.1%} |" for s, n in result.counts.items()]
    lines += ["", *_facts(result, values), *chained.note(result)]
    if (shown := len(runs)) < total:
        lines += ["", f"{shown:,} of {total:,} entities have a run of their own; all are in `entities.csv`."]
    if troubles:
        lines += ["", f"{troubles:,} entity runs lack files; their tag `files_problem` says why."]
    rows = _worst(result, view, runs, experiment_id)
    if rows:
        lines += ["", "**To look at first**", "", "| entity | status | method | why |", "|:--|:--|:--|:--|"]
    files = "`config.yaml` what was asked, `lineage.json` what came from what, `entities.csv` every entity,"
    where = ["", f"Files: {files} `tables` as Parquet, `figures`."]
    room = TAG_CHARACTERS - 200 - len("\n".join([*lines, *where]))
    for row in rows:
        room -= len(row) + 1
        if room < 0:
            break
        lines.append(row)
    return "\n".join([*lines, *where])


def _facts(result: Result, values: Mapping[str, float]) -> list[str]:
    found = []
    if by_method := methods(result):
        found.append("- methods: " + ", ".join(f"{plain(m, 40)} {n:,}" for m, n in by_method.items()))
    for column in coverages(result):
        if column in values:
            mass = column.removeprefix("coverage_").replace("_", ".")
            found.append(f"- {values[column]:.1%} of rows lie inside their {mass} % interval")
    worst = [
        ("rhat", "largest R-hat", ".3f"),
        ("khat", "largest k-hat", ".2f"),
        ("ess_bulk", "smallest bulk ESS", ",.0f"),
    ]
    worst += [
        ("ess_tail", "smallest tail ESS", ",.0f"),
        ("divergences", "divergences", ",.0f"),
        ("mae", "mean absolute error", ".4g"),
    ]
    said = [f"{words} {values[name]:{form}}" for name, words, form in worst if name in values]
    found += [f"- {', '.join(said)}"] if said else []
    if "entities_learned" in values:
        found.append(_learned(values))
    if "seconds" in values:
        fitting = (
            f", {values['seconds_fitting']:,.1f} s of fitting in all workers"
            if "seconds_fitting" in values
            else ""
        )
        found.append(f"- took {values['seconds']:,.1f} s{fitting}")
    return found


def _learned(values: Mapping[str, float]) -> str:
    text = f"- {values['entities_learned']:,.0f} entities learned from others"
    if "population_teachers" in values:
        text += f", the population was taught by {values['population_teachers']:,.0f}"
    if "prior_rows" in values:
        text += f"; their priors are worth {values['prior_rows']:.3g} rows (median)"
    if "conflict_p" in values:
        text += f"; **{values['conflicts']:,.0f}** in conflict with their prior"
    return text


def _worst(result: Result, view: PortfolioView, runs: Mapping[str, str], experiment_id: str) -> list[str]:
    status = dict(zip(view.entity, view.status, strict=True))
    bad = [e for e in ranked(view) if status[e] in ("failed", "flagged")][:_MOST]
    lines = []
    for entity in bad:
        row = result.entity_row(entity)
        name = plain(entity, 60)
        link = f"[{name}]({fragment(experiment_id, runs[entity])})" if entity in runs else name
        reason = plain(str(row["reason"] or "no reason given"), 240)
        lines.append(
            f"| {link} | {plain(str(row['status']), 20)} | {plain(str(row['method'] or ''), 20)} | {reason} |"
        )
    return lines
