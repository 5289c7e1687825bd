"""What pages say about keys, columns and files is what there is."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import posterity
from tests.docs.test_blocks import CHECKOUT, PAGES

DOCS = CHECKOUT / "docs"


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS / "made"))
    spec = importlib.util.spec_from_file_location(name, DOCS / "made" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_keys_is_that_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    insert, keys = script("insert", monkeypatch), script("keys", monkeypatch)
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert insert.inserted(page, "keys", keys.tables()) == page, "write it anew: python docs/made/keys.py"


def test_a_page_without_the_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="made: keys"):
        script("insert", monkeypatch).inserted("nothing here", "keys", "x")


COLUMNS = {
    "entities.parquet": {"the entity columns": {"product", "region"}},
    "parameters.parquet": {},
    "intervals.parquet": {"the model's inputs": {"week"}},
    "draws.parquet": {"a column for each scalar parameter": {"lambda_val", "intercept", "sigma"}},
    "factors.parquet": {},
    "rows.parquet": {
        "the entity columns": {"product", "region"},
        "the time column": {"week"},
        "the model's inputs": {"week"},
        "the target": {"adoption"},
    },
    "ledger.parquet": {},
    "history.parquet": {},
    "prior_draws.parquet": {"a column for each scalar parameter": {"lambda_val", "intercept", "sigma"}},
    "transferred_draws.parquet": {"a column for each scalar parameter": {"lambda_val", "intercept", "sigma"}},
}


@pytest.mark.parametrize("file", COLUMNS)
def test_the_columns_of_a_table_are_those_on_the_page(file: str, desk: Path) -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    section = page.split(f"## {file}\n")[1].split("\n## ")[0]
    told: set[str] = set()
    for row in re.findall(r"^\| (?!column|-)(.+?) \|", section, flags=re.MULTILINE):
        words = COLUMNS[file].get(row) or set(re.findall(r"`(.+?)`", row))
        told |= {w.replace("P", p) for w in words for p in (("50", "90") if w.endswith("_P") else ("P",))}
    result = "runs/launches/first" if file.startswith("transferred") else "runs/adoption/demo"
    assert told == set(posterity.open(result).table(file).column_names)


def files(page: str, heading: str) -> set[str]:
    table = page.split(f"| {heading} |")[1].split("\n\n")[0]
    return set(re.findall(r"^\| `(.+?)`", table, flags=re.MULTILINE))


def test_the_files_of_a_result_are_those_on_the_page(desk: Path) -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    assert files(page, "file") == {p.name for p in Path("runs/adoption/demo").iterdir()}


def test_what_transfer_adds_is_on_the_page(desk: Path) -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    result = Path("runs/launches/first")
    there = {str(p.relative_to(result)) for p in result.rglob("*.*") if p.is_file()}
    told = files(page, "file") | files(page, "file, where priors were transferred")
    assert {re.sub(r"^priors/.*", "priors/*.yaml", name) for name in there} == told
    section = page.split("## population.json\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
    keys = {key for row in rows for key in row.split("`")[1::2]}
    written = json.loads((result / "population.json").read_text(encoding="utf-8"))
    assert keys == written.keys() - {"format", "key"}


def test_launches_are_rows_of_the_demo(checkout: Path) -> None:
    demo = pd.read_parquet(checkout / "data" / "adoption.parquet")
    launched = demo["product"].isin(["P07", "P08"]) & (demo["week"] <= 4)
    expected = demo[(demo["product"] <= "P06") | launched].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(checkout / "data" / "launches.parquet"), expected)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    assert [t for t in targets if not (page.parent / t).exists()] == []
