"""The same draws, bit by bit, whatever else is fitted, in which order, and by how many workers; one
compilation each.
"""

import numpy as np
import pyarrow as pa
import pytest

from posterity.inference import compiled
from posterity.panel.simulation import adoption
from posterity.portfolio.portfolio import Portfolio
from tests.portfolio.small import SMALL, fitted_draws


@pytest.fixture(scope="module")
def panel() -> pa.Table:
    return adoption(products=3, regions=2, weeks=20, seed=5)[0]


@pytest.fixture(scope="module")
def draws(panel: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return fitted_draws(SMALL, panel, tmp_path_factory.mktemp("alone"))


def test_order_of_rows_and_columns_changes_nothing(panel, draws, tmp_path) -> None:
    order = np.random.default_rng(1).permutation(panel.num_rows)
    shuffled = panel.take(pa.array(order)).select(panel.column_names[::-1])
    found = fitted_draws(SMALL, shuffled, tmp_path)
    assert found.keys() == draws.keys()
    for entity, values in draws.items():
        np.testing.assert_array_equal(found[entity], values)


def test_other_entities_change_nothing(panel, draws, tmp_path) -> None:
    for only in (("P02 / south",), ("P03 / north", "P01 / south")):
        found = fitted_draws(SMALL, panel, tmp_path / only[0][:3], entities=only)
        assert found.keys() == set(only)
        for entity in only:
            np.testing.assert_array_equal(found[entity], draws[entity])


@pytest.mark.slow  # the demo's tests do it with two workers by default
def test_number_of_workers_changes_nothing(panel, draws, tmp_path) -> None:
    for workers in (1, 3):
        found = fitted_draws(SMALL, panel, tmp_path / str(workers), workers=workers)
        for entity, values in draws.items():
            np.testing.assert_array_equal(found[entity], values)


def test_another_seed_or_other_data_change_the_draws(panel, draws, tmp_path) -> None:
    seeded = SMALL | {"inference": SMALL["inference"] | {"seed": 7}}
    found = fitted_draws(seeded, panel, tmp_path / "seed", entities=("P02 / south",))
    assert not np.isin(found["P02 / south"], draws["P02 / south"]).any()
    assert not np.array_equal(draws["P02 / south"], draws["P01 / south"])


def test_compilations_do_not_grow_with_entities_or_priors(tmp_path) -> None:
    """Two entities, then a hundred, then all again under other numbers in the priors."""

    def run(products: int, width: float) -> None:
        config = {**SMALL, "model": {**SMALL["model"], "parameters": dict(SMALL["model"]["parameters"])}}
        config["model"]["parameters"]["intercept"] = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": width}}
        table = adoption(products=products, regions=2, weeks=12, seed=6)[0]
        result = Portfolio(config).fit(table, out=tmp_path / f"{products}-{width}", workers=0)
        assert result.counts["failed"] == 0

    run(1, 1.0)
    before = compiled.compilations
    run(50, 1.0)
    run(50, 0.5)
    run(50, 0.1)
    assert compiled.compilations == before
