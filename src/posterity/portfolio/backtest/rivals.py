"""The baselines' forecasts at every origin, scored."""

import numpy as np
import pandas as pd

from posterity.portfolio.backtest.baselines import Past, forecasts
from posterity.portfolio.backtest.design import Design
from posterity.portfolio.scores import score_draws


def scored_rivals(design: Design) -> dict[str, pd.DataFrame]:
    """Scores of every baseline, by its name: `place` (of the row in the first configuration's panel),
    `origin` (its number) and the columns of `score_draws`.
    """
    found: dict[str, list[pd.DataFrame]] = {rule: [] for rule in design.rules}
    for number in range(len(design.origins)):
        for rule, table in _from(design, number).items():
            found[rule].append(table)
    return {rule: pd.concat(tables, ignore_index=True) for rule, tables in found.items()}


def _from(design: Design, number: int) -> dict[str, pd.DataFrame]:
    timeline, origin = design.lead, design.origins[number]
    panel, target = timeline.panel, timeline.target
    ahead = design.steps.ahead(origin, timeline.times)
    known = timeline.times <= origin
    pasts = {}
    for entity, begin, end in zip(panel.entities, panel.offsets[:-1], panel.offsets[1:], strict=True):
        seen = begin + np.flatnonzero(known[begin:end])
        in_order = seen[np.argsort(ahead[seen], kind="stable")]
        if (past := Past.of(ahead[in_order], target[in_order])) is not None:
            pasts[entity] = past
    places = np.flatnonzero((ahead >= 1) & (ahead <= design.horizon) & np.isfinite(target))
    wanted = [(panel.entities[timeline.codes[place]], int(ahead[place])) for place in places]
    uniform = np.random.default_rng([timeline.config.inference.seed, number]).random(len(places))
    found = {}
    for rule in design.rules:
        points = forecasts(pasts, wanted, rule, design.season)
        kept = np.isfinite(points[:, 0])
        scores = score_draws(
            target[places][kept], points[kept].T, design.intervals, uniform[kept], sample=False
        )
        found[rule] = pd.DataFrame({"place": places[kept], "origin": number, **scores})
    return found
