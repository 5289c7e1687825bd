import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posterity.portfolio.result import Result, open_result
from posterity.report import style
from posterity.report.diagnostics import diagnostics_figure, diagnostics_png
from posterity.report.entity import entity_figure, entity_png
from posterity.report.multiples import MOST, multiples_figure, multiples_png
from posterity.report.view import (
    Band,
    EntityView,
    PortfolioView,
    entity_view,
    entity_views,
    portfolio_view,
    short_first,
)
from posterity.report.worst import worst_entities, worst_figure, worst_png
from tests.portfolio.example import FAILED, LONG, ONE_ROW, build, entity_names
from tests.report.drawn import faults, size, texts


@pytest.fixture(scope="module", params=[False, True], ids=["weeks", "dates"])
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return open_result(build(tmp_path_factory.mktemp("result") / "run", dates=request.param))


@pytest.fixture(scope="module")
def view(result: Result) -> EntityView:
    return entity_view(result, "alpha / south")


@pytest.fixture(scope="module")
def portfolio(result: Result) -> PortfolioView:
    return portfolio_view(result)


def test_the_check_itself_finds_faults() -> None:
    figure = style.canvas(3, 2)
    style.write(figure, 1, 1, "one", 12)
    style.write(figure, 1.1, 1, "two", 12)
    style.write(figure, 2.9, 1.5, "three", 12)
    assert faults(figure) == [("three",), ("one", "two")]


@pytest.mark.parametrize("entity", entity_names())
def test_every_entity_has_a_figure_whose_texts_fit(result: Result, entity: str) -> None:
    view = pickle.loads(pickle.dumps(entity_view(result, entity)))
    figure = entity_figure(view)
    assert faults(figure) == []
    assert size(entity_png(view)) == (1100, 605)


def test_the_figure_says_what_a_reviewer_needs(view: EntityView) -> None:
    shown = " ".join(texts(entity_figure(view)))
    for needed in ("alpha / south", "flagged, nuts", "52 rows", "R-hat 1.034", "ESS 170", "3 divergences"):
        assert needed in shown
    assert view.reason is not None
    assert view.reason in shown
    assert "50, 90 % intervals" in shown
    assert all(m.name in shown for m in view.marginals)
    assert "prior" in shown


def test_a_long_vector_leaves_room_for_the_parameters_after_it() -> None:
    weights, few = [f"w[{i}]" for i in range(1, 13)], ["b[north]", "b[south]"]
    assert short_first(["level", *weights, *few, "sigma"]) == ["level", *few, "sigma", *weights]


def test_a_failed_entity_shows_its_data_and_the_whole_reason(result: Result) -> None:
    view = entity_view(result, FAILED)
    assert view.median.size == 0
    assert view.observed.size == 52
    figure = entity_figure(view)
    assert view.reason is not None
    assert view.reason in " ".join(texts(figure))
    assert len(figure.axes) == 1


def test_without_priors_the_posterior_stands_alone(tmp_path: Path) -> None:
    result = open_result(build(tmp_path / "run", draws=50, priors=False))
    view = entity_view(result, "alpha / north")
    assert all(m.prior is None for m in view.marginals)
    assert "prior" not in texts(entity_figure(view))


def test_hard_cases_draw_without_a_warning_and_without_overlap(view: EntityView) -> None:
    rng = np.random.default_rng(0)
    n = 500
    wave = 1e6 * (2 + np.sin(np.arange(n) / 30))
    many = tuple(
        Band(m, wave - 1e5 * k, wave + 1e5 * k) for k, m in enumerate((0.5, 0.8, 0.9, 0.95, 0.995), 1)
    )
    repeated = np.repeat(np.arange(20.0), 3)
    constant = replace(view.marginals[0], draws=np.full(100, 3.0))
    wild = replace(view.marginals[1], draws=rng.standard_cauchy(1000) * 1e-7)
    nothing = np.empty(0)
    cases = {
        "five hundred rows": replace(
            view,
            x=np.datetime64("2012-01-01") + 7 * np.arange(n),
            observed=wave,
            median=wave,
            bands=many,
            y_label="units sold a week in a region with a long name",
            x_label="week " * 60,
        ),
        "several predictions at one x": replace(
            view,
            x=repeated,
            observed=rng.normal(size=60),
            median=rng.normal(size=60),
            bands=(),
        ),
        "no rows": replace(
            view, x=nothing, observed=nothing, median=nothing, bands=(), marginals=(), status="failed"
        ),
        "gaps": replace(
            view,
            observed=np.where(np.arange(52) % 7 == 0, np.nan, view.observed),
            bands=tuple(replace(b, upper=np.where(np.arange(52) > 40, np.inf, b.upper)) for b in view.bands),
        ),
        "nothing observed": replace(view, observed=np.full(52, np.nan)),
        "all equal": replace(view, observed=np.zeros(52), median=np.zeros(52), bands=()),
        "odd draws": replace(view, marginals=(constant, wild, replace(wild, draws=np.full(9, np.nan)))),
        "many parameters": replace(view, marginals=tuple(replace(m, name=LONG) for m in view.marginals * 8)),
        "a long reason": replace(
            view, reason=LONG * 5, entity="\N{ROCKET}$\\frac{a}$\n" * 50, status="flagged"
        ),
        "no name": replace(view, entity="", marginals=()),
        "intraday": replace(view, x=np.datetime64("2025-03-01T00:00") + 15 * np.arange(52).astype("m8[m]")),
        "tiny": replace(view, observed=view.observed * 1e-9, median=view.median * 1e-9, bands=()),
    }
    for name, case in cases.items():
        figure = entity_figure(case)
        assert faults(figure) == [], name


def test_portfolio_figures_fit(result: Result, portfolio: PortfolioView) -> None:
    views = list(entity_views(result, worst_entities(portfolio), marginals=False))
    for figure in (
        diagnostics_figure(portfolio),
        worst_figure(portfolio),
        multiples_figure(views, LONG, LONG),
        multiples_figure(views[:1], "one"),
    ):
        assert faults(figure) == []
    for png in (diagnostics_png(portfolio), worst_png(portfolio), multiples_png([], "none")):
        assert size(png)[0] > 500


def test_a_portfolio_of_failures_or_of_nobody_still_has_figures(portfolio: PortfolioView) -> None:
    n = len(portfolio.entity)
    gone = np.full(n, np.nan)
    failures = replace(
        portfolio,
        status=("failed",) * n,
        method=("",) * n,
        rhat=gone,
        ess=gone,
        khat=gone,
        mae=gone,
        seconds=gone,
        divergences=gone,
        coverage={0.9: gone},
    )
    none = np.empty(0)
    nobody = replace(
        failures,
        entity=(),
        status=(),
        method=(),
        counts={},
        n_rows=none,
        rhat=none,
        ess=none,
        khat=none,
        mae=none,
        seconds=none,
        divergences=none,
        coverage={},
    )
    for view in (failures, nobody):
        assert faults(diagnostics_figure(view)) == []
        assert faults(worst_figure(view)) == []
    assert worst_entities(nobody) == ()
    assert len(worst_entities(failures, 5)) == 5


def test_gates_come_from_the_configuration_and_are_counted(portfolio: PortfolioView) -> None:
    assert portfolio.gates["ess"] == 400
    shown = texts(diagnostics_figure(portfolio))
    assert " gate 400, 2 below" in [" " + t for t in shown]
    assert any("1.01, 2 above" in t for t in shown)


def test_the_worst_come_first(portfolio: PortfolioView) -> None:
    worst = worst_entities(portfolio, 8)
    assert worst[0] == FAILED
    assert {"a/b / south", "alpha / south"} <= set(worst)
    # One row inside an interval is no evidence against it.
    assert worst_entities(portfolio, 12).index(ONE_ROW) > 6


def test_multiples_say_how_many_are_not_shown(result: Result) -> None:
    views = list(entity_views(result, entity_names(), marginals=False)) * 3
    figure = multiples_figure(views, "many", "worst first")
    assert len(figure.axes) == MOST
    assert "worst first · 12 more not shown" in texts(figure)
    assert all(v.marginals == () for v in views)


def test_views_are_small(view: EntityView) -> None:
    assert len(pickle.dumps(view)) < 150_000


def test_an_entity_figure_is_quick(view: EntityView) -> None:
    entity_png(view)
    spent = []
    for _ in range(3):
        start = time.process_time()
        entity_png(view)
        spent.append(time.process_time() - start)
    # About 100 ms with eight densities; pyplot's way of drawing them took seconds.
    assert min(spent) < 1


def test_drawing_needs_no_pyplot_and_no_heavy_library() -> None:
    code = (
        "import sys, posterity.report.entity, posterity.report.worst, posterity.report.multiples,"
        " posterity.report.diagnostics, posterity.report.figures, posterity.report.transfer\n"
        "heavy = 'matplotlib.pyplot', 'pymc', 'xarray', 'arviz_base', 'mlflow'\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
