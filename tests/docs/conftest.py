"""A desk to try the documentation on: shipped configurations, a small piece of the demo's panel, a result."""

import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

ENTITIES = ("P01 / north", "P01 / south", "P02 / north")
COMPOUNDS = ("C13", "C16", "C40")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    """A folder like the checkout, three entities large, with `runs/adoption/demo` and
    `runs/launches/first` fitted: commands of the pages that fit these find them.
    """
    import posterity

    desk = tmp_path_factory.mktemp("desk")
    shutil.copytree(checkout / "configs", desk / "configs")
    (desk / "data").mkdir()
    panel = pq.read_table(checkout / "data" / "adoption.parquet")
    name = pc.binary_join_element_wise(panel["product"], panel["region"], " / ")
    pq.write_table(
        panel.filter(pc.is_in(name, pc.cast(ENTITIES, "string"))), desk / "data" / "adoption.parquet"
    )
    for name in ("adoption_truth", "launches", "dose_response", "choices", "assay", "visits", "trends"):
        shutil.copy(checkout / "data" / f"{name}.parquet", desk / "data")
    for name in ("potency", "toxicity"):
        panel = pq.read_table(checkout / "data" / f"{name}.parquet")
        few = pc.is_in(panel["compound"], pc.cast(COMPOUNDS, "string"))
        pq.write_table(panel.filter(few), desk / "data" / f"{name}.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        posterity.Portfolio("configs/adoption.yaml").fit(out="runs/adoption/demo", workers=0)
        posterity.Portfolio("configs/launches.yaml").fit(out="runs/launches/first", workers=0)
    return desk


@pytest.fixture
def desk(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the filled desk as working directory, where fits stay in this process."""
    here = tmp_path / "desk"
    shutil.copytree(filled, here)
    monkeypatch.chdir(here)
    # Pools are tested elsewhere; starting one for each block would take most of the time.
    monkeypatch.setattr("posterity.portfolio.portfolio.cores", lambda: 0)
    monkeypatch.setattr("posterity.portfolio.backtest.rolling.cores", lambda: 0)
    return here
