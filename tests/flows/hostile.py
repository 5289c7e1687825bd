"""A curve that does to its process what the data say: imported by workers, so a module of its own.

A row at time 666 kills the process from inside, as a crash in compiled code would. A row at time 777 leaves
the process's number in $HOSTILE_DIR and waits to be killed from outside. Not once that holds a file `peace`.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op


class Touch(Op):
    """Its input, unchanged, if the process survives looking at it."""

    __props__ = ()

    def make_node(self, x: Any) -> Apply:
        x = pt.as_tensor_variable(x)
        return Apply(self, [x], [x.type()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        (x,) = inputs
        folder = Path(os.environ["HOSTILE_DIR"])
        if not (folder / "peace").exists():
            if np.any(x == 666):
                os.kill(os.getpid(), signal.SIGKILL)
            if np.any(x == 777):
                (folder / f"pid-{os.getpid()}").touch()
                time.sleep(120)
        output_storage[0][0] = np.array(x)


def curve(x: Any, ceiling: Any) -> Any:
    """A straight line through the origin."""
    return ceiling * Touch()(x) / 10
