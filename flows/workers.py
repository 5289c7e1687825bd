"""Workers and the flow that started them: none outlives it, and a stopped flow stops them at once."""

import multiprocessing
import os
import signal
import threading
from functools import cache


@cache
def belong_to_parent() -> None:
    """In a worker, once: end as soon as the process that started it is gone, and leave Ctrl-C to that one.

    A pool's workers wait for work at a pipe whose other end they hold themselves: they would wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="posterity-parent", daemon=True).start()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_workers() -> None:
    """End every worker of this process in the middle of its work; what is lost is one part each."""
    for worker in multiprocessing.active_children():
        worker.kill()
