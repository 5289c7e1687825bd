"""What MLflow's runs say of a chain: assumptions of every step, the upstream, who is decided."""

from pathlib import Path

import pytest

from posterity import Portfolio
from posterity.tracking import MemoryTracker, track
from posterity.tracking.tracker import NOTE
from tests.portfolio.chained import FIRST, SECOND, panels


def test_runs_tell_of_upstreams_assumptions_and_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, _ = panels(3)
    upstream = Portfolio(FIRST).fit(first, workers=0)
    rule = {"quantity": "c", "max_width": 2.0, "interval": 0.5}
    result = Portfolio(SECOND | {"actionable": rule}).fit(second, workers=0)
    tracker = MemoryTracker("chain")
    tracked = track(result, tracker=tracker)
    assert tracked.troubled == 0
    parent = tracker.get(tracked.run_id)
    assert parent.tags["upstream"] == str(upstream.path)
    assert parent.tags["upstream_run_keys"] == upstream.manifest.run_key
    assert parent.tags["assumptions"].splitlines() == [
        "first: straight lines",
        "first: errors of size one",
        "second: a and b are the same in both",
    ]
    assert parent.tags["actionable"] == "50 % interval of c at most 2 wide"
    assert (parent.metrics["decided"], parent.metrics["needs_data"]) == (3, 0)
    assert "**3** decided, 0 need more data" in parent.tags[NOTE]
    assert "second assumes: a and b are the same in both" in parent.tags[NOTE]
    assert "upstream changed" not in parent.tags[NOTE]
    for run in tracker.find(parent=tracked.run_id):
        row = result.entity_row(run.tags["entity"])
        assert run.tags["actionable"] == row["actionable"] == "decided"
        assert run.metrics["actionable_width"] == pytest.approx(row["actionable_width"], rel=1e-5)
