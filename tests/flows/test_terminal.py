"""The table at the end of a flow run."""

from rich.console import Console

from flows.outcome import Outcome, Tracked
from flows.terminal import show
from posterity.portfolio.execute import Stage


def outcome(*stages: Stage) -> Outcome:
    return Outcome(
        name="small",
        flow_run="0",
        entities=12,
        counts={"ok": 10, "flagged": 1, "failed": 1, "unchanged": 0},
        resumed=0,
        methods={"laplace": 11},
        result="runs/small/0",
        tracked=Tracked("sqlite:///x.db", "small", "1", "http://127.0.0.1:5000/#/1", "mlflow ui"),
        notices=(),
        too_many_failed=False,
        seconds={"fit": 3.0},
        stages=stages,
    )


def shown(*stages: Stage) -> str:
    console = Console(record=True, width=120, quiet=False, file=None)
    with console.capture() as captured:
        show(outcome(*stages), {"fit": 3.0, "total": 5.0}, console)
    return captured.get()


def test_waves_have_a_row_each() -> None:
    established = Stage("established", 8, 0, {"ok": 8, "flagged": 0, "failed": 0}, 2.0)
    new = Stage("new", 4, 0, {"ok": 2, "flagged": 1, "failed": 1}, 1.0)
    rows = [line.split() for line in shown(established, new).splitlines()]
    assert ["8", "8", "0", "0", "0", "2", "s", "established"] in rows
    assert ["4", "2", "1", "1", "0", "1", "s", "new"] in rows
    assert ["12", "10", "1", "1", "0", "5", "s"] in rows
    assert outcome(new).to_dict()["stages"][0]["name"] == "new"


def test_a_single_wave_is_not_told_apart() -> None:
    only = Stage("declared", 12, 0, {"ok": 10, "flagged": 1, "failed": 1}, 2.0)
    assert "declared" not in shown(only)
    assert "wave" not in shown(only).replace("wall time", "")
