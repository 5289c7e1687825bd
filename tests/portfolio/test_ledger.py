"""The ledger of a later version: chunks known from before are taken over, and say what hashing them would."""

import numpy as np
import pandas as pd
import pytest

from posterity.panel import Panel, read
from posterity.panel.chunks import clock
from posterity.portfolio.ledger import ledger_table


def panel(weeks: int, **revised: float) -> Panel:
    """Three products; `revised` gives products another value in week 2."""
    frame = pd.DataFrame([(name, week) for name in "abc" for week in range(weeks)], columns=["p", "t"])
    frame["y"] = np.sin(np.arange(len(frame)) % weeks)
    for name, value in revised.items():
        frame.loc[(frame["p"] == name) & (frame["t"] == 2), "y"] = value
    return read(frame, entity=["p"], time="t", target="y", columns=[])


@pytest.mark.parametrize("weeks", [8, 9, 10, 12])
def test_taking_chunks_over_gives_the_ledger_that_hashing_gives(weeks: int) -> None:
    before, after = panel(8), panel(weeks, b=5.0)
    cut = clock(before, 4)
    first = ledger_table(before, cut, 1)
    hashed = ledger_table(after, cut, 2, first)
    assert ledger_table(after, cut, 2, first, appended={"a", "c"}).equals(hashed)
    mine = hashed.to_pandas().set_index(["entity", "chunk"])["version"]
    assert (mine["a", 0], mine["b", 0], mine["b", 1]) == (1, 2, 1)
    # The twin: were b said to be the same, its old digest would stand for the revised row.
    wrong = ledger_table(after, cut, 2, first, appended={"a", "b", "c"})
    assert wrong["digest"].to_pylist() != hashed["digest"].to_pylist()


def test_without_a_clock_an_entity_is_one_chunk() -> None:
    first = ledger_table(panel(8), None, 1)
    found = ledger_table(panel(9), None, 2, first, appended={"a", "b", "c"})
    assert found["n_rows"].to_pylist() == [9, 9, 9]
    assert found["version"].to_pylist() == [2, 2, 2]
