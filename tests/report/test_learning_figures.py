import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from posterity.inference.mixture import Mixture
from posterity.portfolio.result import Result
from posterity.report.conflict import conflict_figure, conflict_view
from posterity.report.entity import entity_figure
from posterity.report.figures import LEARNING
from posterity.report.learned import PopulationView, population_view
from posterity.report.lines_of_transfer import TransferView, transfer_view
from posterity.report.population import population_figure
from posterity.report.priors import Used, taught
from posterity.report.shrinkage import shrinkage_figure, shrinkage_view, without
from posterity.report.transfer import MOST, transfer_figure
from posterity.report.transfer_graph import transfer_graph_figure
from posterity.report.view import entity_view
from tests.portfolio.example import FAILED, LONG
from tests.portfolio.learned_example import (
    CHILD,
    FROM_FILE,
    PARENT,
    POOLED,
    POPULATION,
    TEACHERS,
)
from tests.report.drawn import faults, size, texts


@pytest.fixture(scope="module")
def result(learned: Result) -> Result:
    return learned


@pytest.fixture(scope="module")
def population(result: Result) -> PopulationView:
    view = population_view(result)
    assert view is not None
    return view


@pytest.fixture(scope="module")
def transfer(result: Result) -> TransferView:
    view = transfer_view(result)
    assert view is not None
    return view


def test_every_figure_of_learning_is_there(result: Result) -> None:
    for name, figure in LEARNING.items():
        image = figure(result)
        assert image is not None, name
        assert size(image)[0] >= 1_000


def test_without_transfer_there_is_nothing_to_show(plain: Result) -> None:
    assert {name: figure(plain) for name, figure in LEARNING.items()} == dict.fromkeys(LEARNING)


@pytest.mark.parametrize("entity", [POPULATION, CHILD, FROM_FILE, POOLED[0], FAILED])
def test_prior_to_posterior_says_what_was_learned(result: Result, entity: str) -> None:
    view = pickle.loads(pickle.dumps(entity_view(result, entity)))
    for figure in (entity_figure(view), transfer_figure(view)):
        assert faults(figure) == []
        shown = " ".join(texts(figure))
        if entity == CHILD:
            for needed in ("worth 2.7 rows", "10 % → 5 %", "conflict p 0.004", "prior from entity: emoji"):
                assert needed in shown
        if entity in POOLED:
            assert "pooled with its own population" in shown
            assert "vague" not in shown


def test_only_parameters_that_were_transferred_have_a_transferred_prior(result: Result) -> None:
    marginals = {m.name: m for m in entity_view(result, POPULATION).marginals}
    assert [name for name, m in marginals.items() if m.taught] == ["lambda_val", "intercept", "sigma"]
    assert marginals["intercept"].taught is not None
    assert marginals["intercept"].taught.sd == pytest.approx(np.sqrt(0.9 * 0.0025 + 0.1 * 0.2), rel=1e-2)
    assert marginals["z[north]"].prior is not None


def test_a_wide_vague_component_does_not_flatten_the_rest() -> None:
    mixture = Mixture.gaussian([0.0], [[0.01]]).joined(0.1, [0.0], [[16.0]])
    found = taught(Used(("x_log__",), mixture, 0.1), ["x"])["x"]
    # On a log scale so wide a normal piles up at zero, higher than all the rest.
    assert found.density.y.max() > 2 * found.peak


def test_many_parameters_are_counted(result: Result) -> None:
    view = entity_view(result, POPULATION)
    figure = transfer_figure(replace(view, entity=LONG, marginals=view.marginals * 4))
    assert faults(figure) == []
    assert f"and {4 * 8 - MOST} more parameters in parameters.parquet" in texts(figure)


def test_a_population_is_told_by_group(population: PopulationView) -> None:
    assert set(population.entity) == {*TEACHERS, POPULATION}
    assert population.entity[int(np.flatnonzero(population.new)[0])] == POPULATION
    assert population.groups == ("north", "south")
    assert [p.label for p in population.parameters] == ["lambda_val", "intercept"]
    rate = population.parameters[0]
    # Twice the distance of the groups from their mean, on the log scale.
    assert np.log(rate.levels[0, 2] / rate.levels[1, 2]) == pytest.approx(0.2, abs=0.03)
    shown = " ".join(texts(population_figure(population)))
    for needed in ("taught by 8 entities with 480 rows", "north", "south", "shared by all: sigma", "1 new"):
        assert needed in shown


@pytest.mark.parametrize(
    ("entities", "groups", "parameters"), [(1, 1, 1), (60, 1, 4), (3_000, 40, 2), (20, 3, 11)]
)
def test_a_population_of_any_size_can_be_read(
    population: PopulationView, entities: int, groups: int, parameters: int
) -> None:
    rng = np.random.default_rng(0)
    group = np.arange(entities) % groups
    centre = rng.normal(size=entities)
    one = replace(
        population.parameters[1],
        label=LONG,
        mean=np.where(np.arange(entities) == 3, np.nan, centre),
        low=centre - 1,
        high=centre + 1e6 * (np.arange(entities) == 1) + 1,
        levels=np.tile([-1.6, -0.7, 0, 0.7, 1.6], (groups, 1)),
    )
    names = tuple(f"a rather long region {i}" for i in range(groups)) if groups > 1 else ("",)
    view = replace(
        population, entity=("x",) * entities, new=np.arange(entities) % 9 == 0, group=group, groups=names,
        parameters=(one,) * parameters, notes=(LONG,),
    )  # fmt: skip
    assert faults(population_figure(view)) == []


def test_taking_the_population_out_gives_the_estimate_without_it() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(2, 2))
    own, population = root @ root.T + 0.2 * np.eye(2), np.array([[1.0, 0.3], [0.3, 0.5]])
    alone, centre = np.array([3.0, -1.0]), np.array([1.0, 1.0])
    draws = rng.multivariate_normal(centre, population, 200_000)
    covariance = np.linalg.inv(np.linalg.inv(own) + np.linalg.inv(population))
    mean = covariance @ (np.linalg.solve(own, alone) + np.linalg.solve(population, centre))
    assert without(mean, covariance, draws) == pytest.approx(alone, abs=0.1)
    # The twin: the pooled estimate is another one.
    assert mean != pytest.approx(alone, abs=0.5)
    # An entity that knows nothing of its own has no estimate.
    assert np.isnan(without(centre, 0.99 * population, draws)).all()


def test_shrinkage_is_that_of_pooled_entities(result: Result) -> None:
    view = shrinkage_view(result)
    assert view is not None
    assert set(view.entity) == set(POOLED)
    figure = shrinkage_figure(replace(view, silent=3))
    assert faults(figure) == []
    shown = " ".join(texts(figure))
    assert "4 entities" in shown
    assert "3 more whose rows alone do not determine" in shown


def test_the_graph_leads_from_teachers_to_learners(transfer: TransferView) -> None:
    kinds = Counter(box.kind for box in transfer.boxes)
    assert kinds == {"taught": 2, "population": 2, "learner": 5, "outside": 1, "declared": 1}
    ends = {(transfer.boxes[a].title, transfer.boxes[b].text): n for a, b, n in transfer.links}
    assert ends["4 established", f"{CHILD}, from {PARENT}"] == 1
    assert ends["population: north", "north, alpha / north"] == 1
    assert ends["prior file", FROM_FILE] == 1
    assert sum(n for a, b, n in transfer.links if transfer.boxes[b].kind == "learner") == 7
    child = next(box for box in transfer.boxes if CHILD in box.text)
    assert child.trouble == "1 in conflict"
    figure = transfer_graph_figure(transfer)
    assert faults(figure) == []
    assert "7 of 12 entities learned from others; 8 taught the population" in " ".join(texts(figure))


def test_hundreds_of_sources_become_few_boxes(result: Result) -> None:
    rows = [dict(result.entity_row(POPULATION)) for _ in range(400)]
    for i, row in enumerate(rows):
        above = f"e{i - 100}" if i >= 200 else f"e{i // 2}"
        prior = "declared" if i < 100 else f"entity: {above}"
        row |= {"entity": f"e{i}", "fit_key": f"{i}", "prior": prior, "status": "ok", "role": "new"}
    view = transfer_view(_faked(result, rows))
    assert view is not None
    # Parents, their children, grandchildren and their children: one box each, all with counts.
    assert [(box.column, box.title) for box in view.boxes if box.kind != "outside"] == [
        (0, "100 new"), (1, "100 new"), (2, "100 new"), (3, "100 new")
    ]  # fmt: skip
    assert {(view.boxes[a].column, view.boxes[b].column, n) for a, b, n in view.links} == {
        (0, 1, 100), (1, 2, 100), (2, 3, 100)
    }  # fmt: skip
    assert faults(transfer_graph_figure(view)) == []


def _faked(result: Result, rows: list[dict[str, object]]) -> Result:
    """The result with other rows in `entities`, without a population; its cache holds what was read."""
    copy = replace(result)
    copy.__dict__["population"] = None
    copy.__dict__["_tables"] = {
        "entities.parquet": pa.Table.from_pylist(rows, result.table("entities.parquet").schema)
    }
    return copy


def test_conflicts_are_counted_and_named(result: Result) -> None:
    view = conflict_view(result)
    assert view is not None
    assert view.entity[0] == CHILD
    figure = conflict_figure(view)
    assert faults(figure) == []
    shown = " ".join(texts(figure))
    assert "3 entities with a transferred prior · 1 below the gate 0.01" in shown
    many = replace(
        view, gate=0.6, entity=(LONG,) * 4_000, prior=(LONG,) * 4_000, p=np.linspace(1e-4, 1, 4_000)
    )
    assert faults(conflict_figure(many)) == []
    assert "gate 0.6, 2,400 below" in texts(conflict_figure(many))
