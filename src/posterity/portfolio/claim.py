"""One run at a time in a result folder; whoever comes second waits, and then finds the work done."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLAIM = ".running"

logger = logging.getLogger(__name__)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder until the end of the block; waits, with a warning, while another run holds it.

    The claim is an advisory lock: the kernel frees it when its holder dies, so it never goes stale. On a file
    system without locks nothing is held; two runs then do the same work, and the first to publish wins.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / CLAIM, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning("another run is fitting into %s; waiting until it ends", folder)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            logger.warning("%s: this file system has no locks (%s)", folder, error.strerror)
        yield
        # What is left of a run that failed keeps its claim's file; a published result needs none.
        (folder / CLAIM).unlink(missing_ok=True)
    finally:
        os.close(handle)
