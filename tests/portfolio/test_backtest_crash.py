"""A backtest that is killed at any time goes on where it was, and ends as if nothing had happened."""

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from posterity.portfolio.backtest import Backtest

SCRIPT = """
import sys
import pandas as pd
from posterity import backtest
from tests.portfolio.test_backtest import TREND, panel

def tell(report):
    print(sum(report.status.values()), flush=True)

backtest(TREND, panel(shops=12), horizon=2, origins=6, workers=1, out=sys.argv[1], listen=tell)
"""


def start(out: Path, checkout: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(out)]
    return subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 4])
def test_killed_after_some_shards_it_finishes_what_is_left(
    after: int, tmp_path: Path, checkout: Path
) -> None:
    whole = start(tmp_path / "whole", checkout)
    every, _ = whole.communicate(timeout=600)
    assert whole.returncode == 0
    killed = start(tmp_path / "killed", checkout)
    assert killed.stdout is not None
    for _ in range(after):
        killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert not (tmp_path / "killed" / "manifest.json").exists()
    again = start(tmp_path / "killed", checkout)
    rest, _ = again.communicate(timeout=600)
    assert again.returncode == 0
    assert sum(map(int, rest.split())) < sum(map(int, every.split()))
    one, two = (Backtest.load(tmp_path / name).scores for name in ("whole", "killed"))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
