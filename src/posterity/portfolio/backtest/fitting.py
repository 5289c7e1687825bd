"""The posteriors of a configuration at every origin with a fit, all in one folder of parts.

A fit is known by its key, so an entity without new rows since the last origin is not fitted again, and a run
that was killed goes on where it was. Nothing is merged or published: forecasts are made from the parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterity.errors import RunnerError
from posterity.portfolio.backtest.design import Design, Entrant
from posterity.portfolio.dispatch import Dispatch, Listener
from posterity.portfolio.execute import execute
from posterity.portfolio.fixed import fixed
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan, Work, make_plan
from posterity.portfolio.runners import Runner
from posterity.portfolio.shard import Report


@dataclass(frozen=True)
class Hands:
    """Who does the work, and who is told of it."""

    runner: Runner
    workers: int
    listen: Listener


def plans(design: Design, entrant: Entrant) -> dict[Any, Plan]:
    """What is fitted at each origin with a fit, from nothing but what was known then.

    What a configuration leaves to its panel (the scale of a column) is that of the first origin, as it would
    have been remembered from then on.
    """
    known = {origin: entrant.timeline.known(origin) for origin, _ in design.fits()}
    config = fixed(entrant.config, next(iter(known.values())))
    return {origin: make_plan(config, panel) for origin, panel in known.items()}


def fit_all(planned: Mapping[Any, Plan], folder: Path, hands: Hands) -> int:
    """Fit whatever the parts in `folder` do not hold yet; how many fits that were.

    Where every prior is declared, no fit waits for another one, so all origins are one heap of work. Else
    waves follow each other, origin after origin. Raises RunnerError as `execute` does.
    """
    alone = [plan for plan in planned.values() if _independent(plan)]
    done = _together(alone, Parts(folder), hands) if alone else 0
    for plan in planned.values():
        if not _independent(plan):
            executed = execute(plan, folder, hands.runner, hands.workers, hands.listen)
            done += sum(sum(report.status.values()) for report in executed.reports)
    return done


def _independent(plan: Plan) -> bool:
    joint = plan.config.inference.pooling == "joint"
    return not joint and all(source.kind == "declared" for source in plan.sources.values())


def _together(planned: Sequence[Plan], parts: Parts, hands: Hands) -> int:
    seen = parts.done()
    groups: dict[str, tuple[Plan, list[Work]]] = {}
    for plan in planned:
        # Numbers and levels are those of the description, so work goes with a plan that has the same.
        group = groups.setdefault(f"{plan.description.key} {plan.keep}", (plan, []))[1]
        for work in plan.work():
            if work.key not in seen:
                seen.add(work.key)
                group.append(work)
    reports: list[Report] = []
    for plan, waiting in groups.values():
        reports += Dispatch(plan, parts, hands.runner, hands.workers, hands.listen).fit(waiting)
    done = sum(sum(report.status.values()) for report in reports)
    reasons = [reason for report in reports for reason in report.unexpected]
    if reasons and len(reasons) == done:
        for report in reports:
            parts.place(report.name).unlink(missing_ok=True)
        raise RunnerError(
            f"all {done:,} fits failed with exceptions that nobody planned for, the first: {reasons[0]}. "
            "This is a fault of the model's own code or of Posterity; nothing was scored"
        )
    return done
