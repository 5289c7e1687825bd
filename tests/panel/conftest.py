"""Fixtures of the panel's tests."""

import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest


@pytest.fixture
def timed():
    """A context manager whose `seconds` are processor time, so that a busy machine does not fail a test."""

    @contextmanager
    def clock():
        found = SimpleNamespace(seconds=0.0)
        start = time.process_time()
        yield found
        found.seconds = time.process_time() - start

    return clock
