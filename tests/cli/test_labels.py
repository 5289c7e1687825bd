"""Entries of vector parameters keep their labels in the terminal."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio
from posterity.cli import show
from posterity.inference import compiled


def test_labels_that_look_like_markup_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)
    monkeypatch.setenv("COLUMNS", "120")
    colours = ["green", "bold", "/red"]
    rows = pd.DataFrame({"shop": "a", "colour": colours * 6, "y": np.random.default_rng(1).normal(size=18)})
    normal = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}}
    config = {
        "name": "labels",
        "data": {"entity": "shop", "target": "y"},
        "model": {
            "parameters": {"z": {**normal, "dims": "colour"}},
            "quantities": {"mu": {"expression": "z[colour]"}},
            "likelihood": {"dist": "Normal", "kwargs": {"mu": "mu", "sigma": 1}},
        },
        "inference": {"method": "laplace", "draws": 200, "chains": 2},
    }
    result = Portfolio(config).fit(rows, out=tmp_path / "r", workers=0)
    capsys.readouterr()
    show.entity(result, "a")
    said = capsys.readouterr().out
    assert all(f"z[{colour}]" in said for colour in colours)
