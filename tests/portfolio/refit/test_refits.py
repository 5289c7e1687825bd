"""Refits of a small portfolio: what each kind of delivery does to whom, and that nothing is counted twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio, Result
from posterity.config import from_dict, with_overrides
from posterity.errors import ConfigError, PanelError, ResultError
from posterity.portfolio.descent import chain
from posterity.portfolio.refit.run import Refitted, refit
from posterity.portfolio.result import open_result
from tests.portfolio.refitted import carry_everything
from tests.portfolio.small import SMALL, panel

ENTITIES = [f"P0{p} / {r}" for p in (1, 2, 3) for r in ("north", "south")]
KEY = ["product", "region"]
FIRST, CHUNK = 12, 4


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return counted(panel(products=3, regions=2, weeks=24).to_pandas())


@pytest.fixture(scope="module")
def base(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Result:
    config = {**SMALL, "refit": {"every": CHUNK}}
    out = tmp_path_factory.mktemp("base") / "run"
    return Portfolio(config).fit(weeks(rows, 0, FIRST), out=out, workers=0)


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Weeks from 0, so that chunks of four begin at multiples of four."""
    return frame.assign(week=frame["week"] - 1)


def weeks(rows: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    return rows[(rows["week"] >= first) & (rows["week"] < last)]


def name(row: Mapping[str, Any]) -> str:
    return f"{row['product']} / {row['region']}"


def of(rows: pd.DataFrame, *entities: str) -> pd.DataFrame:
    return rows[(rows["product"] + " / " + rows["region"]).isin(entities)]


def without(rows: pd.DataFrame, *entities: str) -> pd.DataFrame:
    return rows[~(rows["product"] + " / " + rows["region"]).isin(entities)]


def column(result: Result, what: str) -> dict[str, Any]:
    table = result.entities.set_index("entity")[what]
    return {e: None if pd.isna(v) else v for e, v in table.items()}


def moments(result: Result) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Means and sds on the unconstrained scale."""
    found = {}
    for row in result.table("factors.parquet").to_pylist():
        mean = np.array(row["mean"])
        covariance = np.array(row["covariance"]).reshape(len(mean), len(mean))
        found[row["entity"]] = mean, np.sqrt(np.diag(covariance))
    return found


def run(result: Result, delivered: pd.DataFrame, out: Path, mode: str = "exact", **options: Any) -> Refitted:
    return refit(result, delivered, mode=mode, out=out, workers=0, **options)


def same(one: Result, other: Result, *tables: str) -> None:
    """The same tables but for what took time and who made them."""
    for table in tables:
        a, b = (
            r.table(f"{table}.parquet")
            .to_pandas()
            .drop(columns=["seconds", "version", "update", "parent_fit_key"], errors="ignore")
            for r in (one, other)
        )
        pd.testing.assert_frame_equal(a, b)


def test_exact_is_the_fit_of_all_rows(base: Result, rows: pd.DataFrame, tmp_path: Path) -> None:
    later = run(base, weeks(rows, FIRST, 16), tmp_path / "later").result
    whole = Portfolio(base.config).fit(weeks(rows, 0, 16), out=tmp_path / "whole", workers=0)
    same(later, whole, "entities", "parameters", "intervals", "draws", "factors", "rows")
    assert column(later, "parent_fit_key") == column(base, "fit_key")
    assert set(column(later, "update").values()) == {"exact"}
    assert later.manifest.extra["version"] == 2
    assert later.manifest.extra["parent"]["run_key"] == base.manifest.run_key


def test_chunks_are_versions(base: Result, rows: pd.DataFrame, tmp_path: Path) -> None:
    """Three chunks in one delivery are three versions, the last one where it was asked for."""
    done = run(base, weeks(rows, FIRST, 24), tmp_path / "out")
    assert [p.relative_to(tmp_path).as_posix() for p in done.versions] == [
        "out/versions/2",
        "out/versions/3",
        "out",
    ]
    history = done.result.table("history.parquet").to_pandas()
    one = history[history["entity"] == ENTITIES[0]]
    assert one["version"].tolist() == [1, 2, 3, 4]
    assert one["n_rows"].tolist() == [12, 16, 20, 24]
    assert one["new_rows"].tolist() == [12, 4, 4, 4]
    assert one["first_time"].tolist() == [0, 12, 16, 20]
    assert one["parent_fit_key"].tolist()[1:] == one["fit_key"].tolist()[:-1]
    ledger = done.result.table("ledger.parquet").to_pandas()
    mine = ledger[ledger["entity"] == ENTITIES[0]]
    assert mine["chunk"].tolist() == [0, 1, 2, 3, 4, 5]
    assert mine["version"].tolist() == [1, 1, 1, 2, 3, 4]
    assert open_result(done.versions[0]).manifest.extra["version"] == 2
    # The same from three deliveries.
    result = base
    for first in range(FIRST, 24, CHUNK):
        result = run(result, weeks(rows, first, first + CHUNK), tmp_path / f"s{first}").result
    same(result, done.result, "entities", "draws", "ledger", "rows")


def test_every_version_says_what_of_the_delivery_it_took_and_where_that_lay(
    base: Result, rows: pd.DataFrame, tmp_path: Path
) -> None:
    table = weeks(rows, 8, 20)
    table.to_parquet(tmp_path / "chunk.parquet")
    done = refit(base, str(tmp_path / "chunk.parquet"), mode="exact", out=tmp_path / "out", workers=0)
    each = [open_result(folder) for folder in done.versions]
    assert [r.manifest.extra["rows"] for r in each] == [
        {"new": 24, "repeated": 24, "vanished": 0},
        {"new": 24},
    ]
    data = [n.attributes for n in done.result.lineage(ENTITIES[0]).nodes if n.kind == "data"]
    came = [about.get("delivery") for about in data]
    assert came.count(str(tmp_path / "chunk.parquet")) == 2  # of three versions


def test_a_folder_that_is_taken_is_refused_before_any_step_is_written(
    base: Result, rows: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "taken"
    Portfolio(base.config).fit(weeks(rows, 0, 8), out=out, workers=0)
    with pytest.raises(ResultError, match="write to another folder"):
        run(base, weeks(rows, FIRST, 24), out)
    assert not (out / "versions").exists()


@pytest.mark.parametrize("mode", ["exact", "carry", "reweight"])
def test_rows_that_are_inside_are_never_counted_again(
    base: Result, rows: pd.DataFrame, tmp_path: Path, mode: str
) -> None:
    chunk = weeks(rows, FIRST, 16)
    once = run(base, chunk, tmp_path / "once", mode).result
    # The chunk again, the whole panel again, and the chunk twice in one delivery.
    again = run(once, chunk, tmp_path / "again", mode)
    assert again.rows == {"repeated": len(chunk), "vanished": 0}
    assert again.counts["unchanged"] == len(ENTITIES)
    same(again.result, once, "entities", "parameters", "intervals", "draws", "ledger", "rows", "history")
    assert again.result.manifest.extra["version"] == 2
    whole = run(base, weeks(rows, 0, 16), tmp_path / "whole", mode).result
    same(whole, once, "entities", "draws", "rows")
    doubled = run(base, pd.concat([chunk, chunk]), tmp_path / "doubled", mode).result
    same(doubled, once, "entities", "draws", "rows")


def test_who_has_no_rows_costs_nothing_and_keeps_everything(
    base: Result, rows: pd.DataFrame, tmp_path: Path
) -> None:
    some = ENTITIES[:2]
    done = run(base, of(weeks(rows, FIRST, 16), *some), tmp_path / "out")
    assert done.counts["unchanged"] == 4
    assert done.counts["ok"] + done.counts["flagged"] == 2
    assert done.executed is not None
    assert sum(sum(r.status.values()) for r in done.executed.reports) == 2
    later = done.result
    assert column(later, "version") == {e: 2 if e in some else 1 for e in ENTITIES}
    for table in ("parameters", "intervals", "draws", "factors"):
        a, b = (r.table(f"{table}.parquet").to_pandas() for r in (base, later))
        kept = ~a["entity"].isin(some)
        pd.testing.assert_frame_equal(
            a[kept].reset_index(drop=True), b[~b["entity"].isin(some)].reset_index(drop=True)
        )
    # The chunk that was missing comes with the next one.
    after = run(later, weeks(rows, FIRST, 20), tmp_path / "after").result
    whole = Portfolio(base.config).fit(weeks(rows, 0, 20), out=tmp_path / "whole", workers=0)
    same(after, whole, "draws", "rows")


def test_revised_late_and_vanished_rows_have_all_rows_fitted_again(
    base: Result, rows: pd.DataFrame, tmp_path: Path
) -> None:
    revised, late, vanished, plain = ENTITIES[:4]
    start = without(weeks(rows, 0, FIRST), late)
    start = pd.concat([start, of(weeks(rows, 0, FIRST), late).query("week != 5")])
    first = Portfolio(base.config).fit(start, out=tmp_path / "first", workers=0)
    now = weeks(rows, 0, 16).copy()
    now.loc[(now["week"] == 3) & (now["product"] + " / " + now["region"] == revised), "adoption"] += 0.2
    now = now[~((now["week"] == 4) & (now["product"] + " / " + now["region"] == vanished))]
    done = run(first, now, tmp_path / "later", "carry")
    assert done.rows["late"] == done.rows["revised"] == done.rows["vanished"] == 1
    later, history = done.result, done.result.table("history.parquet").to_pandas()
    mine = history[history["version"] == 2].set_index("entity")
    assert mine.loc[[revised, late, vanished], "update"].tolist() == ["exact"] * 3
    assert mine.loc[[revised, late, vanished], "reason"].tolist() == [
        "1 row revised",
        "1 row late",
        "1 row vanished",
    ]
    assert (mine["late"].sum(), mine["revised"].sum(), mine["vanished"].sum()) == (1, 1, 1)
    assert mine.loc[plain, "reason"] == "4 new rows are many beside 12 old ones"
    whole = Portfolio(base.config).fit(now, out=tmp_path / "whole", workers=0)
    for entity in (revised, late, vanished):
        one, other = (r.entity_table("draws.parquet", entity) for r in (later, whole))
        assert one.equals(other)
    same(later, whole, "rows")
    assert any("late" in n for n in later.manifest.extra["notices"])


def test_chunks_out_of_order_end_where_those_in_order_do(
    base: Result, rows: pd.DataFrame, tmp_path: Path
) -> None:
    ahead = run(base, weeks(rows, 16, 20), tmp_path / "ahead").result
    done = run(ahead, weeks(rows, 12, 16), tmp_path / "back")
    assert done.rows["late"] == 4 * len(ENTITIES)
    whole = Portfolio(base.config).fit(weeks(rows, 0, 20), out=tmp_path / "whole", workers=0)
    same(done.result, whole, "draws", "rows")


def test_bad_rows_take_nothing_away(base: Result, rows: pd.DataFrame, tmp_path: Path) -> None:
    bad, good = ENTITIES[0], ENTITIES[1]
    chunk = weeks(rows, FIRST, 16).copy()
    chunk.loc[(chunk["product"] + " / " + chunk["region"] == bad) & (chunk["week"] == 13), "adoption"] = (
        np.nan
    )
    later = run(base, chunk, tmp_path / "later").result
    assert (column(later, "version")[bad], column(later, "version")[good]) == (1, 2)
    assert column(later, "n_rows")[bad] == FIRST
    assert column(later, "status")[bad] == "flagged"
    assert "4 delivered rows left out" in column(later, "reason")[bad]
    pd.testing.assert_frame_equal(*(r.entity_table("draws.parquet", bad).to_pandas() for r in (base, later)))
    # Mended, they are taken in, and the reason is gone.
    mended = run(later, weeks(rows, FIRST, 16), tmp_path / "mended").result
    whole = Portfolio(base.config).fit(weeks(rows, 0, 16), out=tmp_path / "whole", workers=0)
    assert column(mended, "reason") == column(whole, "reason")
    same(mended, whole, "draws", "rows")


def test_an_entity_whose_refit_fails_keeps_its_posterior_and_its_rows(
    base: Result, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posterity.portfolio import entity as module

    real, bad = module.fit, ENTITIES[2]

    def fit(model: Any, inputs: Any, *rest: Any) -> Any:
        target = inputs[model.input_names.index("target")]
        if np.isclose(target, poison).any():
            raise RuntimeError("planted")
        return real(model, inputs, *rest)

    chunk = weeks(rows, FIRST, 16)
    poison = of(chunk, bad)["adoption"].iloc[0]
    monkeypatch.setattr(module, "fit", fit)
    later = run(base, chunk, tmp_path / "later").result
    assert column(later, "status")[bad] == "flagged"
    assert "planted" in column(later, "reason")[bad]
    assert column(later, "n_rows")[bad] == FIRST
    assert set(later.table("rows.parquet").to_pandas().groupby("entity").size()) == {12, 16}
    monkeypatch.setattr(module, "fit", real)
    healed = run(later, chunk, tmp_path / "healed").result
    whole = Portfolio(base.config).fit(weeks(rows, 0, 16), out=tmp_path / "whole", workers=0)
    same(healed, whole, "draws", "rows")


def test_carry_stays_near_exact_and_reweight_nearer(rows: pd.DataFrame, tmp_path: Path) -> None:
    config = from_dict({**SMALL, "inference": {"method": "laplace", "draws": 1000}, "refit": {"every": 4}})
    long = counted(panel(products=2, regions=2, weeks=52, seed=7).to_pandas())
    start = Portfolio(config).fit(weeks(long, 0, 40), out=tmp_path / "start", workers=0)
    delivered = weeks(long, 40, 52)
    exact = moments(run(start, delivered, tmp_path / "exact").result)
    limits = {"carry": (0.3, 1.15), "reweight": (0.2, 1.08)}
    for mode, (shift, ratio) in limits.items():
        done = run(start, delivered, tmp_path / mode, mode)
        updates = done.result.table("history.parquet").to_pandas()["update"]
        assert (updates == mode).sum() >= 8, updates.value_counts()  # of twelve
        found = moments(done.result)
        for entity, (mean, sd) in exact.items():
            assert np.abs((found[entity][0] - mean) / sd).max() < shift
            assert np.exp(np.abs(np.log(found[entity][1] / sd)).max()) < ratio
    # The twin: the same rows counted twice are found out.
    twice = refit_twice(start, delivered, tmp_path)
    assert max((sd / twice[e][1]).max() for e, (_, sd) in exact.items()) > 1.2


def refit_twice(start: Result, delivered: pd.DataFrame, tmp_path: Path) -> dict[str, Any]:
    """Carry with every row in two copies, a moment apart, which nobody can tell from new rows."""
    again = delivered.assign(week=delivered["week"] + 0.001)
    both = pd.concat([delivered, again]).assign(week=lambda f: f["week"].astype(float))
    rows = start.table("rows.parquet").to_pandas().drop(columns="entity")
    floats = Portfolio(start.config).fit(
        rows.assign(week=rows["week"].astype(float)), out=tmp_path / "floats", workers=0
    )
    return moments(run(floats, both, tmp_path / "twice", "carry").result)


def test_an_audit_resets_what_has_drifted(
    base: Result, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_everything(monkeypatch)
    settings = {"refit.mode": "carry", "refit.audit": 1, "refit.max_shift": 1e-6}
    strict = with_overrides(base.config, settings)
    done = refit(base, weeks(rows, FIRST, 16), config=strict, out=tmp_path / "strict", workers=0)
    history = done.result.table("history.parquet").to_pandas().query("version == 2")
    carried = history[history["shift"].notna()]
    assert len(carried)
    assert set(carried["update"]) == {"reset"}
    assert carried["reason"].str.contains("an audit found a mean").all()
    exact = run(base, weeks(rows, FIRST, 16), tmp_path / "exact").result
    for entity in carried["entity"]:
        assert done.result.entity_table("draws.parquet", entity).equals(
            exact.entity_table("draws.parquet", entity)
        )
    loose = with_overrides(base.config, {**settings, "refit.max_shift": 100.0, "refit.max_ratio": 100.0})
    kept = refit(base, weeks(rows, FIRST, 16), config=loose, out=tmp_path / "loose", workers=0)
    history = kept.result.table("history.parquet").to_pandas().query("version == 2")
    assert set(history.loc[history["shift"].notna(), "update"]) == {"carry"}


def test_forgetting_widens_posteriors(base: Result, rows: pd.DataFrame, tmp_path: Path) -> None:
    forgetful = with_overrides(base.config, {"refit.forget": 0.7})
    chunk = weeks(rows, FIRST, 16)
    for mode in ("exact", "carry", "reweight"):
        plain = moments(run(base, chunk, tmp_path / f"plain {mode}", mode).result)
        wide = moments(run(base, chunk, tmp_path / f"wide {mode}", mode, config=forgetful).result)
        ratio = np.mean([wide[e][1] / plain[e][1] for e in plain])
        assert 1.03 < ratio < 1.3, mode


def test_newcomers_join(base: Result, rows: pd.DataFrame, tmp_path: Path) -> None:
    config = with_overrides(base.config, {"transfer": {"established": {"min_rows": 12}}})
    new = ENTITIES[5]
    first = Portfolio(config).fit(without(weeks(rows, 0, FIRST), new), out=tmp_path / "first", workers=0)
    assert first.population is None
    assert set(column(first, "prior").values()) == {"declared"}
    chunk = weeks(rows, FIRST, 16)
    second = run(first, chunk, tmp_path / "second", "carry").result
    about = second.entity_row(new)
    assert (about["role"], about["prior"], about["update"]) == ("new", "population", "fit")
    assert second.population is not None
    assert set(second.population.teachers) == set(ENTITIES) - {new}
    # It keeps the prior that it began with, and the population is not learned again for its sake.
    third = run(second, weeks(rows, 16, 20), tmp_path / "third").result
    assert third.entity_row(new)["prior"] == "population"
    assert third.entity_row(new)["n_rows"] == 8
    assert third.text("population.json") == second.text("population.json")
    prior, before = third.prior_of(new), second.prior_of(new)
    assert prior is not None
    assert before is not None
    assert prior.key == before.key
    third.verify()


def test_runs_that_were_done_are_found(base: Result, rows: pd.DataFrame, tmp_path: Path) -> None:
    chunk = weeks(rows, FIRST, 16)
    first = run(base, chunk, tmp_path / "out")
    again = run(base, chunk, tmp_path / "out")
    assert again.executed is None
    assert again.result.manifest == first.result.manifest
    with pytest.raises(ResultError, match="holds a finished result of other inputs"):
        run(base, weeks(rows, FIRST, 20), tmp_path / "out2", "exact") and run(base, chunk, tmp_path / "out2")


def test_another_model_has_everybody_fitted_again(base: Result, rows: pd.DataFrame, tmp_path: Path) -> None:
    other = with_overrides(base.config, {"model.parameters.intercept.kwargs.sigma": 0.5})
    done = refit(
        base,
        of(weeks(rows, FIRST, 16), ENTITIES[0]),
        config=other,
        mode="carry",
        out=tmp_path / "o",
        workers=0,
    )
    history = done.result.table("history.parquet").to_pandas().query("version == 2")
    assert set(history["update"]) == {"exact"}
    assert set(history["reason"]) == {"the declared priors are others than before"}
    assert len(history) == len(ENTITIES)


def test_what_cannot_be_refitted_is_said(base: Result, rows: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(PanelError, match="there is no column 'adoption'"):
        run(base, rows.drop(columns="adoption"), tmp_path / "x")
    with pytest.raises(ConfigError, match="calendar span, and 'week' holds numbers"):
        refit(base, rows, config=with_overrides(base.config, {"refit.every": "4W"}), out=tmp_path / "x")
    pooled = with_overrides(base.config, {"transfer": {"pool": {"shrink": True}}})
    with pytest.raises(ConfigError, match=r"carry.*use exact"):
        refit(base, weeks(rows, 12, 16), config=pooled, mode="carry", out=tmp_path / "x")
    assert not (tmp_path / "x" / "manifest.json").exists()


def test_pooled_portfolios_are_fitted_together(rows: pd.DataFrame, tmp_path: Path) -> None:
    config = from_dict({**SMALL, "transfer": {"established": {"min_rows": 8}, "pool": {"shrink": True}}})
    first = Portfolio(config).fit(weeks(rows, 0, FIRST), out=tmp_path / "first", workers=0)
    done = run(first, of(weeks(rows, FIRST, 16), ENTITIES[0]), tmp_path / "later")
    assert set(column(done.result, "version").values()) == {2}
    assert set(column(done.result, "update").values()) == {"exact"}
    history = done.result.table("history.parquet").to_pandas()
    assert history.groupby("entity").size().tolist() == [2] * len(ENTITIES)


def test_a_value_revised_and_revised_back(base: Result, rows: pd.DataFrame, tmp_path: Path) -> None:
    """The posterior that was there before is there again, and its lineage goes in no circle."""
    entity = ENTITIES[0]
    first = weeks(rows, 0, FIRST)
    other = first.copy()
    other.loc[(other["week"] == 3) & (other["product"] + " / " + other["region"] == entity), "adoption"] += (
        0.2
    )
    once = run(base, other, tmp_path / "once").result
    back = run(once, first, tmp_path / "back").result
    assert column(back, "fit_key") == column(base, "fit_key")
    assert column(back, "version")[entity] == 3
    assert [n.attributes["version"] for n in chain_of(back, entity)] == [1, 2, 3]
    assert len(back.lineage(entity).nodes) > 3


def chain_of(result: Result, entity: str) -> list[Any]:
    graph = chain(result, entity)
    return sorted(graph.nodes, key=lambda node: int(node.attributes["version"]))
