"""Settings where the user has none. Import it before Prefect, which reads its settings when it is imported.

Whatever the environment says already wins. Which server is used is not decided here.
"""

import os

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # On a busy machine the temporary server takes longer than the 20 s after which Prefect gives up.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    # A line for every shard and its state says less than the progress bar. Warnings and errors stay.
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Figures are drawn in processes that have no display.
    "MPLBACKEND": "Agg",
}

for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)
