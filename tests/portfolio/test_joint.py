"""A portfolio as one joint model: the tables of any result, and a population like that of two stages."""

import json

import numpy as np
import pytest

from posterity.config import load, with_overrides
from posterity.errors import ConfigError
from posterity.panel.simulation import dose_response
from posterity.portfolio.population import Population
from posterity.portfolio.portfolio import Portfolio
from tests.portfolio.small import SMALL, panel

JOINT = SMALL | {
    "inference": {
        "pooling": "joint",
        "method": "advi",
        "centered": True,
        "draws": 250,
        "chains": 2,
        "steps": 4_000,
    },
    "transfer": {"pool": {"shrink": True, "shared": ["sigma"]}},
}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return Portfolio(JOINT).fit(panel(), out=tmp_path_factory.mktemp("joint") / "run", workers=0)


def test_a_joint_result_has_the_tables_of_any_other(result):
    assert sum(result.counts.values()) == 6
    assert set(result.entities["method"]) == {"joint advi"}
    assert set(result.entities["prior"]) == {"population"}
    assert len(result.parameters) == 6 * 3
    assert len(result.draws) == 6 * 500
    assert len(result.intervals) == 6 * 20
    assert result.entities["ess_bulk"].eq(500).all()
    assert result.entities["rhat"].isna().all()
    # A shared parameter is the same in every entity, draw by draw.
    by_draw = result.draws.groupby(["chain", "draw"])
    assert np.allclose(by_draw["sigma"].std(), 0)
    assert (by_draw["lambda_val"].std() > 0.001).all()
    result.verify()


def test_the_population_beside_it_is_a_population(result):
    found = Population.from_dict(json.loads(result.text("population.json")))
    assert found.entries == ("lambda_val_log__", "intercept", "sigma_log__")
    assert (found.partial, found.shared, found.draws) == ((0, 1), (2,), 500)
    assert found.predictive(None, 100, np.random.default_rng(0)).shape == (100, 3)
    assert np.linalg.eigvalsh(found.information).min() > 0
    assert found.mean[:, 0].mean() == pytest.approx(np.log(0.08), abs=1.5)


def test_the_same_inputs_find_the_finished_result(result):
    before = result.manifest
    again = Portfolio(JOINT).fit(panel(), out=result.path, workers=0)
    assert again.manifest == before


def test_groups_are_refused_with_a_sentence():
    with pytest.raises(ConfigError, match="a joint model has one population"):
        Portfolio(JOINT | {"transfer": {"pool": {"within": ["region"]}}})


@pytest.mark.slow
def test_two_stages_agree_with_joint_nuts(tmp_path, checkout):
    table, _ = dose_response(40, 40)
    config = with_overrides(load(checkout / "configs" / "dose_response.yaml"), {"inference.draws": 1_000})
    joint = with_overrides(
        config, {"inference.pooling": "joint", "inference.method": "nuts", "inference.centered": True}
    )
    two, one = (
        Portfolio(c).fit(table, out=tmp_path / n, workers=2) for c, n in ((config, "two"), (joint, "one"))
    )
    summaries = [json.loads(r.text("population.json"))["summary"] for r in (one, two)]
    for reference, other in zip(*summaries, strict=True):
        assert abs(other["mean"] - reference["mean"]) < 0.15 * reference["sd"]
        assert other["sd"] == pytest.approx(reference["sd"], rel=0.1)
    means = [r.parameters.set_index(["entity", "parameter"]) for r in (one, two)]
    far = (means[1]["mean"] - means[0]["mean"]).abs() / means[0]["sd"]
    assert (far < 0.15).mean() > 0.98
