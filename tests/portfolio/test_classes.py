"""Classifiers: what they predict, how surely, and when they say nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from posterity import Portfolio, Result
from posterity.config import from_dict, load, to_dict, with_overrides
from posterity.config.abstain import Abstain
from posterity.errors import ConfigError
from posterity.portfolio.classes import Answers, trade_off
from posterity.portfolio.scores import score, summary
from posterity.portfolio.serving import Server
from posterity.report.abstain import abstain_figure, abstain_view
from posterity.report.figures import KINDS
from posterity.tracking import MemoryTracker, track
from tests.entities import prior
from tests.report.drawn import faults

TRUE = np.array([[2.0, 0.0, -2.0], [0.0, 2.0, -1.0]])


def rows(n: int = 300, seed: int = 1, noise: float = 1.0) -> pd.DataFrame:
    """Three classes, two features, in two groups."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2)) * 1.5
    scores = features @ TRUE
    label = (scores + noise * rng.gumbel(size=scores.shape)).argmax(axis=1)
    group = np.where(np.arange(n) % 2, "a", "b")
    return pd.DataFrame({"group": group, "x1": features[:, 0], "x2": features[:, 1], "label": label})


def config(**more: Any) -> dict[str, Any]:
    wide = prior("Normal", mu=0, sigma=2)
    return {
        "name": "kinds",
        "data": {"entity": "group", "target": "label"},
        "model": {
            "parameters": {
                "intercept": {**wide, "dims": ["class"]},
                "weight": {**wide, "dims": ["feature", "class"]},
            },
            "coords": {"feature": 2, "class": 3},
            "build": {
                "function": "posterity.models.classifiers:softmax",
                "columns": "x{1..2}",
                "target": "category",
            },
        },
        "inference": {"method": "advi", "minibatch": 50, "draws": 250, "steps": 1_500},
        "abstain": {"below": 0.8},
        **more,
    }


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return Portfolio(config()).fit(rows(), out=tmp_path_factory.mktemp("kinds") / "run", workers=0)


def test_a_range_of_columns_and_a_number_of_labels_are_spelt_out() -> None:
    model = from_dict(config()).model
    assert model.build is not None
    assert model.build.columns == ("x1", "x2")
    assert model.coords["class"] == (0, 1, 2)
    assert from_dict(to_dict(from_dict(config()))).model == model
    digits = with_overrides(from_dict(config()), {"model.build.columns": ["a", "p_{08..11}_z"]})
    assert digits.model.build is not None
    assert digits.model.build.columns == ("a", "p_08_z", "p_09_z", "p_10_z", "p_11_z")
    with pytest.raises(ConfigError, match="is no range"):
        with_overrides(from_dict(config()), {"model.build.columns": ["x{3..1}"]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"abstain": {"below": 1.5}}, "abstain.below"),
        ({"abstain": {"under": 0.5}}, "abstain.under"),
        (
            {
                "model": {
                    "parameters": {"m": prior("Normal", mu=0, sigma=1)},
                    "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
                }
            },
            "the likelihood is Normal; abstaining is for Bernoulli and Categorical",
        ),
        (
            {
                "model": {
                    "parameters": {"m": prior("Normal", mu=0, sigma=1)},
                    "build": {"function": "tests.models.own_models:line", "target": "count"},
                }
            },
            "the target of `build` is count",
        ),
    ],
)
def test_mistakes_in_the_section(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_dict(config(**change))


def test_classes_are_those_that_the_truth_makes_likely(result: Result) -> None:
    new = rows(400, seed=2)
    found = result.predict(new)
    assert found["predicted"].dtype == np.int64
    assert found["probability"].between(1 / 3, 1).all()
    assert (found["abstained"] == (found["probability"] < 0.8)).all()
    best = (found[["x1", "x2"]].to_numpy() @ TRUE).argmax(axis=1)
    sure = ~found["abstained"].to_numpy()
    assert (found["predicted"] == best)[sure].mean() > 0.97
    assert (found["predicted"] == best).mean() > 0.85
    assert 0.3 < sure.mean() < 0.9
    # Who is unsure is more often wrong.
    assert (found["predicted"] == best)[~sure].mean() < (found["predicted"] == best)[sure].mean()


def test_the_probability_is_the_mean_over_draws(result: Result) -> None:
    one = rows(3, seed=3).assign(group="a")
    draws = result.entity_table("draws.parquet", "a").to_pandas()
    intercept = draws[[f"intercept[{c}]" for c in range(3)]].to_numpy()
    weight = draws[[f"weight[{f}, {c}]" for f in range(2) for c in range(3)]].to_numpy().reshape(-1, 2, 3)
    scores = intercept[:, None] + np.einsum("nf,sfc->snc", one[["x1", "x2"]].to_numpy(), weight)
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p = (p / p.sum(axis=-1, keepdims=True)).mean(axis=0)
    found = result.predict(one)
    assert found["predicted"].tolist() == p.argmax(axis=1).tolist()
    assert found["probability"].to_numpy() == pytest.approx(p.max(axis=1), abs=1e-9)


def test_tables_say_what_the_answers_are_worth(result: Result) -> None:
    seen, table = result.intervals, result.entities.set_index("entity")
    right, sure = seen["predicted"] == seen["observed"], seen["probability"] >= 0.8
    assert (seen["abstained"] == ~sure).all()
    for entity, own in seen.groupby("entity"):
        at = own.index
        assert table.loc[entity, "accuracy"] == pytest.approx(right[at].mean())
        assert table.loc[entity, "answered"] == pytest.approx(sure[at].mean())
        assert table.loc[entity, "accuracy_answered"] == pytest.approx(right[at][sure[at]].mean())
    held = rows(200, seed=4)
    scored = score(result, held)
    assert {"predicted", "probability", "correct", "abstained"} <= set(scored.columns)
    means = summary(scored).iloc[0]
    assert means["accuracy_answered"] > means["accuracy"] > 0.6
    by_entity = (~scored["abstained"]).groupby(scored["entity"]).mean()
    assert means["answered"] == pytest.approx(by_entity.mean())


def test_mlflow_has_the_scores_and_the_figure(result: Result) -> None:
    tracker = MemoryTracker("kinds")
    parent = track(result, tracker=tracker).run_id
    metrics = tracker.get(parent).metrics
    seen = result.intervals
    right = (seen["predicted"] == seen["observed"]).to_numpy()
    sure = ~seen["abstained"].to_numpy(dtype=bool)
    assert metrics["accuracy"] == pytest.approx(right.mean(), abs=1e-5)
    assert metrics["answered"] == pytest.approx(sure.mean(), abs=1e-5)
    assert metrics["accuracy_answered"] == pytest.approx(right[sure].mean(), abs=1e-5)
    assert "figures/abstain.png" in tracker.artifacts(parent)
    child = next(run for run in tracker.find(parent=parent))
    assert {"accuracy", "answered", "accuracy_answered"} <= set(child.metrics)


def test_a_server_gives_the_same_answers_and_none_to_strangers(result: Result) -> None:
    from posterity.tracking.serving.save import signature

    new = rows(4, seed=5)
    new.loc[3, "group"] = "nobody"
    served = Server(result).predict(new)
    assert {"mean", "lower", "upper", "status"} <= set(served.columns)
    known = result.predict(new.iloc[:3]).sort_values(["x1"])
    first = served.iloc[:3].sort_values("x1")
    assert first["predicted"].tolist() == known["predicted"].tolist()
    assert first["abstained"].tolist() == known["abstained"].tolist()
    assert np.isnan(served["predicted"][3])
    assert served["abstained"][3] is None
    names = [column.name for column in signature(result).outputs]
    assert names[-3:] == ["predicted", "probability", "abstained"]


def test_a_coin_answers_with_its_probability_and_without_the_section_always(tmp_path: Path) -> None:
    table = pd.DataFrame({"coin": "a", "heads": np.repeat([1, 0], [30, 10])})
    values: dict[str, Any] = {
        "name": "coin",
        "data": {"entity": "coin", "target": "heads"},
        "model": {
            "parameters": {"p": prior("Beta", alpha=2, beta=2)},
            "likelihood": {"dist": "Bernoulli", "kwargs": {"p": "p"}},
        },
    }
    result = Portfolio(values).fit(table, out=tmp_path / "run", workers=0)
    found = result.predict(table.head(1))
    assert found["predicted"].tolist() == [1]
    assert found["probability"][0] == pytest.approx(stats.beta(32, 12).mean(), abs=0.01)
    assert "abstained" not in found
    assert "abstained" not in result.intervals
    assert result.entities["accuracy"].tolist() == [0.75]
    assert result.entities["answered"].isna().all()
    # A threshold is part of what decides the result, and none leaves the keys what they were.
    doubtful = Portfolio({**values, "abstain": {"below": 0.9}})
    assert doubtful.plan(table).keys != Portfolio(values).plan(table).keys
    late = doubtful.fit(table, out=tmp_path / "late", workers=0)
    assert late.predict(table.head(1))["abstained"].tolist() == [True]
    assert late.entities["answered"].tolist() == [0.0]
    assert late.entities["accuracy_answered"].isna().all()


def test_a_refit_scores_all_rows(result: Result, tmp_path: Path) -> None:
    later = result.refit(pd.concat([rows(), rows(20, seed=9)]), out=tmp_path / "later", workers=0)
    assert len(later.intervals) == 320
    assert later.intervals["predicted"].notna().all()
    assert later.entities["answered"].notna().all()


def test_other_targets_have_no_answers(tmp_path: Path) -> None:
    model = {
        "parameters": {"m": prior("Normal", mu=0, sigma=1)},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
    }
    table = pd.DataFrame({"group": "a", "y": [0.0, 1.0, 2.0]})
    values = {"name": "x", "data": {"entity": "group", "target": "y"}, "model": model}
    result = Portfolio(values).fit(table, out=tmp_path / "run", workers=0)
    assert not {"accuracy", "answered"} & set(result.entities.columns)
    assert "predicted" not in result.predict(table)
    assert KINDS["abstain"](result) is None


def test_the_curve_answers_the_surest_first() -> None:
    curve = trade_off(np.array([True, False, True, True]), np.array([0.9, 0.6, 0.9, 0.7]))
    assert curve.answered.tolist() == [0.5, 0.75, 1.0]
    assert curve.accuracy.tolist() == [1.0, 1.0, 0.75]
    assert curve.threshold.tolist() == [0.9, 0.7, 0.6]


def test_calibrated_answers_gain_by_silence_and_arbitrary_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 20_000)
    right = rng.random(20_000) < sure
    honest, random = trade_off(right, sure), trade_off(right, rng.permutation(sure))
    half = np.searchsorted(honest.answered, 0.5)
    assert honest.accuracy[half] == pytest.approx(0.875, abs=0.01)
    assert honest.accuracy[-1] == pytest.approx(0.75, abs=0.01)
    assert random.accuracy[half] == pytest.approx(0.75, abs=0.01)


def test_missing_targets_do_not_count() -> None:
    found = Answers(np.array([0, 1, 1]), np.array([0.9, 0.6, 0.95]))
    scores = found.scores(np.array([0.0, 1.0, np.nan]), Abstain(below=0.8))
    assert scores == {"accuracy": 1.0, "answered": 0.5, "accuracy_answered": 1.0}
    assert found.scores(np.full(3, np.nan), None) == {"accuracy": None}


def test_the_figure_can_be_read(result: Result) -> None:
    for table in (None, score(result, rows(200, seed=4))):
        view = abstain_view(result, table)
        assert view is not None
        assert faults(abstain_figure(view)) == []
        assert view.at(0.8) is not None
        assert view.at(1.1) is None


def test_an_own_variable_of_rows_weight_does_not_collide(tmp_path: Path) -> None:
    """A parameter may be called weight: the rows' own have a name that no parameter can have."""
    plain = config(inference={"method": "advi", "draws": 250, "steps": 100})
    found = Portfolio(plain).fit(rows(60), out=tmp_path / "run", workers=0)
    assert found.counts["failed"] == 0


def test_shipped_digits_are_scikit_learns(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import runpy

    import pyarrow.parquet as pq

    made = runpy.run_path(str(checkout / "data" / "digits.py"))["tables"]()
    for table, name in zip(made, ("digits", "digits_held_out"), strict=True):
        assert pq.read_table(checkout / "data" / f"{name}.parquet").equals(table)
        assert isinstance(table, pa.Table)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "digits_network"])
def test_digits_are_read_and_noise_is_not(name: str, checkout: Path, tmp_path: Path) -> None:
    given = load(checkout / "configs" / f"{name}.yaml")
    train, held_out = (
        pd.read_parquet(checkout / "data" / f"{n}.parquet") for n in ("digits", "digits_held_out")
    )
    result = Portfolio(with_overrides(given, {"data.source": None})).fit(
        train, out=tmp_path / "run", workers=0
    )
    # So many unknowns, each on its own: flagged for their spreads, and not for the bound.
    reason = str(result.entities["reason"][0])
    assert "spreads are not certified" in reason
    assert "settled" not in reason
    means = summary(score(result, held_out)).iloc[0]
    assert means["accuracy"] > 0.94
    assert means["accuracy_answered"] > 0.985
    assert means["answered"] > 0.6
    pixels = [column for column in held_out if column.startswith("pixel_")]
    noise = held_out.copy()
    noise[pixels] = np.random.default_rng(0).random((len(noise), 64))
    assert result.predict(noise)["abstained"].mean() > 1.5 * (1 - means["answered"])
