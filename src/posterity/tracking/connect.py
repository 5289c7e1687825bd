"""From an address to a tracker; MLflow is imported here and not before."""

from posterity.tracking.address import resolve
from posterity.tracking.tracker import Tracker


def connect(uri: str | None, experiment: str) -> Tracker:
    """The tracker of an experiment: at `uri`, else at $MLFLOW_TRACKING_URI, else in SQLite under `runs/`.

    Nothing is made or reached yet. Raises ConfigError for an address that is no place for runs.
    """
    address = resolve(uri)

    from posterity.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker(address, experiment)


def prepare(uri: str | None, experiment: str) -> str:
    """Make database and experiment where absent, once before a fan-out; returns the experiment's id.

    Safe when several processes do it at once. Raises ConfigError and TrackingError.
    """
    return connect(uri, experiment).prepare()
