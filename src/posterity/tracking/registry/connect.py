"""From a tracker or an address to the registry beside it; MLflow is imported here and not before."""

from posterity.errors import TrackingError
from posterity.tracking.connect import connect
from posterity.tracking.registry.registry import Registry
from posterity.tracking.tracker import Tracker


def connect_registry(uri: str | None = None) -> Registry:
    """The registry at `uri`, else at $MLFLOW_TRACKING_URI, else in SQLite under `runs/`.

    Raises ConfigError for an address that is no place for runs.
    """
    # Versions belong to no experiment; none is made or asked for.
    return registry_of(connect(uri, "Default"))


def registry_of(tracker: Tracker) -> Registry:
    """The registry in the place where a tracker keeps its runs."""
    from posterity.tracking.mlflow_tracker import MlflowTracker
    from posterity.tracking.registry.mlflow_registry import MlflowRegistry

    if not isinstance(tracker, MlflowTracker):
        raise TrackingError(f"{tracker.uri} keeps no versions; give an MLflow address")
    return MlflowRegistry(tracker)
