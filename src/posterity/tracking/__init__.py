"""Results in MLflow: a run for the portfolio and runs for its entities. MLflow is loaded when first used."""

from posterity.errors import TrackingError
from posterity.tracking.connect import connect, prepare
from posterity.tracking.lifetime import OpenRun, Terminated, close_abandoned, started
from posterity.tracking.memory import MemoryTracker
from posterity.tracking.track import Tracked, track
from posterity.tracking.tracker import Dataset, NewRun, Run, Tracker

__all__ = [
    "Dataset",
    "MemoryTracker",
    "NewRun",
    "OpenRun",
    "Run",
    "Terminated",
    "Tracked",
    "Tracker",
    "TrackingError",
    "close_abandoned",
    "connect",
    "prepare",
    "started",
    "track",
]
