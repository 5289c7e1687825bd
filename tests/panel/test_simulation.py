"""Simulated panels: the same bytes every time, and a truth that the demo portfolio's priors allow."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from posterity.panel import read
from posterity.panel.assays import potency, toxicity
from posterity.panel.simulation import adoption, assay, choices, dose_response, trends, visits


def test_the_demo_panel_is_whole():
    table, truth = adoption()
    panel = read(table, entity=["product", "region"], time="week", target="adoption")
    assert (len(panel.entities), set(panel.counts.tolist())) == (120, {52})
    assert panel.notices == ("6,240 rows of 120 entities",)
    assert panel.levels("region") == ("centre", "east", "north", "south", "west")
    assert panel.levels("week") == tuple(range(1, 53))
    assert panel.levels("product")[::23] == ("P01", "P24")
    assert set(truth.column("entity").to_pylist()) == set(panel.entities)
    assert truth.num_rows == 360


def test_a_seed_is_a_panel():
    one, again, other = adoption(3, 2, 5), adoption(3, 2, 5), adoption(3, 2, 5, seed=1)
    assert one[0].equals(again[0])
    assert one[1].equals(again[1])
    assert not one[0].equals(other[0])


def test_the_shipped_files_are_what_the_simulation_gives(checkout):
    panel, truth = adoption()
    assert pq.read_table(checkout / "data" / "adoption.parquet").equals(panel)
    assert pq.read_table(checkout / "data" / "adoption_truth.parquet").equals(truth)


def test_any_size():
    table, _ = adoption(products=120, regions=7, weeks=3)
    panel = read(table, entity=["product", "region"], time="week", target="adoption")
    assert len(panel.entities) == 840
    assert panel.entities[0] == "P001 / centre"
    assert "region7" in panel.levels("region")


def test_rows_follow_the_truth():
    table, truth = adoption()
    panel = read(table, entity=["product", "region"], time="week", target="adoption")
    values = {
        (e, p): v
        for e, p, v in zip(
            *(truth.column(c).to_pylist() for c in ("entity", "parameter", "value")), strict=True
        )
    }
    scaled = []
    for entity in panel.entities:
        rows = panel.rows(entity)
        rate, start, sigma = (values[entity, p] for p in ("lambda_val", "intercept", "sigma"))
        curve = 1 - start - (1 - start) * np.exp(-rate * rows.columns["week"])
        scaled.append((rows.target - curve) / sigma)
    assert stats.kstest(np.concatenate(scaled), "norm").pvalue > 0.01
    # The twin that must fail: a noise 10 % too wide.
    assert stats.kstest(np.concatenate(scaled) * 1.1, "norm").pvalue < 0.01


def test_the_truth_is_plausible_under_the_priors():
    _, truth = adoption()
    frame = truth.to_pandas()
    for parameter, prior in (
        ("lambda_val", stats.halfnorm()),
        ("intercept", stats.norm()),
        ("sigma", stats.halfnorm()),
    ):
        tail = prior.sf(frame.loc[frame.parameter == parameter, "value"].abs())
        assert tail.min() > 0.05


def test_the_dose_response_panel_is_whole():
    table, truth = dose_response(12, 7)
    panel = read(table, entity=["group"], target="response", columns=["log_dose"])
    assert panel.notices == ("84 rows of 12 entities",)
    assert panel.entities[::11] == ("G0001", "G0012")
    assert panel.levels("log_dose")[::6] == (-9, -4)
    assert truth.num_rows == 5 * 12
    assert set(truth.column("entity").to_pylist()) == set(panel.entities)
    assert dose_response(12, 7)[0].equals(table)
    assert not dose_response(12, 7, seed=1)[0].equals(table)


def test_the_shipped_doses_are_what_the_simulation_gives(checkout):
    panel, truth = dose_response(60, 24)
    assert pq.read_table(checkout / "data" / "dose_response.parquet").equals(panel)
    assert pq.read_table(checkout / "data" / "dose_response_truth.parquet").equals(truth)


def test_responses_follow_the_truth_and_the_truth_its_population():
    table, truth = dose_response(400, 20)
    values = truth.to_pandas().pivot(index="entity", columns="parameter", values="value")
    rows = table.to_pandas().join(values, on="group")
    share = 1 / (1 + 10 ** (-rows["slope"] * (rows["log_dose"] - rows["log_ec50"])))
    curve = rows["bottom"] + (rows["top"] - rows["bottom"]) * share
    scaled = ((rows["response"] - curve) / rows["sigma"]).to_numpy()
    assert stats.kstest(scaled, "norm").pvalue > 0.01
    # The twin that must fail: a noise 10 % too wide.
    assert stats.kstest(scaled * 1.1, "norm").pvalue < 0.01
    for name, mean, sd in (("bottom", 0, 0.05), ("top", 1, 0.1), ("log_ec50", -6.5, 0.5)):
        assert stats.kstest((values[name].to_numpy() - mean) / sd, "norm").pvalue > 0.01
    assert stats.kstest(np.log(values["slope"].to_numpy()) / 0.2, "norm").pvalue > 0.01


def test_the_size_that_started_it_all_is_made_in_moments(timed):
    with timed() as took:
        table, _ = dose_response()
    assert table.num_rows == 402_000
    assert table.nbytes < 20e6
    assert took.seconds < 2


def test_the_shipped_choices_are_what_the_simulation_gives(checkout):
    panel, truth = choices()
    assert pq.read_table(checkout / "data" / "choices.parquet").equals(panel)
    assert pq.read_table(checkout / "data" / "choices_truth.parquet").equals(truth)


def test_the_shipped_trends_are_what_the_simulation_gives(checkout):
    panel, truth = trends()
    assert pq.read_table(checkout / "data" / "trends.parquet").equals(panel)
    assert pq.read_table(checkout / "data" / "trends_truth.parquet").equals(truth)


def test_trends_follow_the_truth():
    table, truth = trends(300, 60)
    reading = table["reading"].to_numpy().reshape(300, 60)
    value = truth["value"].to_numpy().reshape(300, 72)
    assert np.std(reading - value[:, :60]) == pytest.approx(0.3, rel=0.02)
    # The common half of the variance is one function, so what sites have of their own is the other half.
    own = value - value.mean(axis=0)
    own = own - own.mean(axis=1, keepdims=True)
    far = np.mean((own[:, 60] - own[:, 0]) ** 2) / 2
    assert far == pytest.approx(0.5, rel=0.2)


def test_choices_follow_the_truth():
    table, truth = choices(400, 20)
    rows, values = (
        table.to_pandas(),
        truth.to_pandas().pivot(index="entity", columns="parameter", values="value"),
    )
    mean = (values["alpha"] / (values["alpha"] + values["beta"])).to_numpy()
    bought = rows.groupby("shop")[["buyers", "visitors"]].sum()
    assert (bought["buyers"] / bought["visitors"]).to_numpy() - mean == pytest.approx(0, abs=0.2)
    assert np.mean((bought["buyers"] / bought["visitors"]).to_numpy() - mean) == pytest.approx(0, abs=0.01)
    replied = rows.groupby("shop")["replied"].mean().to_numpy() - 1 / (
        1 + np.exp(-values["theta"].to_numpy())
    )
    assert np.mean(replied) == pytest.approx(0, abs=0.02)


def test_the_shipped_assay_is_what_the_simulation_gives(checkout):
    panel, truth = assay()
    assert pq.read_table(checkout / "data" / "assay.parquet").equals(panel)
    assert pq.read_table(checkout / "data" / "assay_truth.parquet").equals(truth)


def test_readings_follow_the_truth_down_to_their_limits():
    table, truth = assay(2_000)
    values = truth.to_pandas().pivot(index="entity", columns="parameter", values="value")
    rows = table.to_pandas().join(values, on="sample")
    assert rows["log_reading"].isna().sum() == 2 * 2_000
    assert (rows["log_reading"].dropna() >= rows["log_limit"][rows["log_reading"].notna()]).all()
    rows = rows.dropna()
    line = rows["level"] - rows["rate"] * rows["hour"]
    far = line - rows["log_limit"] > 1  # so far above that hardly any is cut off
    scaled = ((rows["log_reading"] - line) / np.hypot(rows["se"], rows["scatter"]))[far].to_numpy()
    assert stats.kstest(scaled, "norm").pvalue > 0.01
    # The twin that must fail: a noise 10 % too wide.
    assert stats.kstest(scaled * 1.1, "norm").pvalue < 0.01


@pytest.mark.parametrize("make", [potency, toxicity])
def test_the_shipped_assays_are_what_the_simulation_gives(make, checkout):
    panel, truth = make()
    assert pq.read_table(checkout / "data" / f"{make.__name__}.parquet").equals(panel)
    assert pq.read_table(checkout / "data" / f"{make.__name__}_truth.parquet").equals(truth)


def test_both_assays_follow_one_truth():
    (one, of_one), (two, of_two) = potency(400), toxicity(400)
    first, second = (
        t.to_pandas().pivot(index="entity", columns="parameter", values="value") for t in (of_one, of_two)
    )
    shared = ["log_ec50", "slope"]
    assert first[shared].equals(second.loc[first.index, shared])
    assert len(second) - len(first) == 2
    rows = one.to_pandas().join(first, on="compound")
    share = 1 / (1 + 10 ** (-rows["slope"] * (rows["log_dose"] - rows["log_ec50"])))
    curve = rows["bottom"] + (rows["top"] - rows["bottom"]) * share
    scaled = ((rows["response"] - curve) / rows["sigma"]).to_numpy()
    assert stats.kstest(scaled, "norm").pvalue > 0.01
    assert stats.kstest(scaled * 1.1, "norm").pvalue < 0.01  # the twin: a noise 10 % too wide
    rows = two.to_pandas().join(second, on="compound")
    share = 1 / (1 + 10 ** (-rows["slope"] * (rows["log_conc"] - rows["log_ec50"])))
    mean = rows["control"] * (1 - rows["efficacy"] * share)
    pearson = ((rows["cells"] - mean) ** 2 / mean).mean()
    assert pearson == pytest.approx(1, abs=4 * np.sqrt(2 / len(rows)))


def test_the_shipped_visits_are_what_the_simulation_gives(checkout):
    panel, truth = visits()
    assert pq.read_table(checkout / "data" / "visits.parquet").equals(panel)
    assert pq.read_table(checkout / "data" / "visits_truth.parquet").equals(truth)


def test_visits_follow_the_truth():
    table, truth = visits(40, 500)
    values = truth.to_pandas().pivot(index="shop", columns="parameter", values="value")
    rows = table.to_pandas().join(values, on="shop")
    logit = rows["intercept"] + rows["price_effect"] * (rows["price"] - 1)
    logit += rows["deal_effect"] * rows["deal"] + rows["seen_effect"] * rows["seen"]
    p = 1 / (1 + np.exp(-logit))
    assert rows["bought"].mean() == pytest.approx(p.mean(), abs=0.01)
    likely = p > p.median()
    assert rows.loc[likely, "bought"].mean() == pytest.approx(p[likely].mean(), abs=0.015)
    assert values["deal_effect"].mean() == pytest.approx(0.8, abs=0.1)
