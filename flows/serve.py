"""Serve the train flow on its schedule from this one process: no work pool, no worker.

    PREFECT_API_URL=http://127.0.0.1:4200/api python flows/serve.py

Name, schedule and parameters are those of the deployment in prefect.yaml, which this one takes the place of.
"""

import sys
from pathlib import Path
from typing import Any

import flows.defaults  # noqa: F401  Prefect reads its settings when it is imported

# isort: split
import yaml
from prefect.schedules import Cron
from prefect.settings import get_current_settings

from flows.train import train

CHECKOUT = Path(__file__).resolve().parents[1]
NO_SERVER = """\
no Prefect server is configured, and a temporary one would be gone with its schedule when this process ends.
Start one that stays, and name it:
    prefect server start
    PREFECT_API_URL=http://127.0.0.1:4200/api python flows/serve.py"""


def deployment(path: Path = CHECKOUT / "prefect.yaml") -> dict[str, Any]:
    """The first deployment of the file."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["deployments"][0]
    return found


def main() -> int:
    """Serve until stopped; runs in progress are waited for."""
    if get_current_settings().api.url is None:
        print(NO_SERVER, file=sys.stderr)
        return 2
    what = deployment()
    train.serve(
        name=what["name"],
        schedules=[Cron(s["cron"], timezone=s["timezone"], active=s["active"]) for s in what["schedules"]],
        parameters=what["parameters"],
        description=what["description"],
        tags=what["tags"],
        limit=what["concurrency_limit"]["limit"],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
