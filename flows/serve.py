"""Serve every deployment of prefect.yaml from this one process: no work pool, no worker.

    PREFECT_API_URL=http://127.0.0.1:4200/api python flows/serve.py

Names, schedules and parameters are those of the file, whose deployments these take the place of.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import flows.defaults  # noqa: F401  Prefect reads its settings when it is imported

# isort: split
import yaml
from prefect import get_client, serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron
from prefect.settings import get_current_settings

CHECKOUT = Path(__file__).resolve().parents[1]
NO_SERVER = """\
no Prefect server is configured, and a temporary one would be gone with its schedule when this process ends.
Start one that stays, and name it:
    prefect server start
    PREFECT_API_URL=http://127.0.0.1:4200/api python flows/serve.py"""


def deployments(path: Path = CHECKOUT / "prefect.yaml") -> list[dict[str, Any]]:
    """The deployments of the file, in its order."""
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["deployments"]
    return found


def deployment(path: Path = CHECKOUT / "prefect.yaml") -> dict[str, Any]:
    """The first deployment of the file."""
    return deployments(path)[0]


def flow_of(what: Mapping[str, Any]) -> Any:
    """The flow that a deployment's entrypoint names: `flows/train.py:train`."""
    file, _, name = what["entrypoint"].partition(":")
    return getattr(import_module(file.removesuffix(".py").replace("/", ".")), name)


def make_room(served: Sequence[RunnerDeployment]) -> None:
    """Remove deployments of these names that `prefect deploy` made: their place is in a work pool, which an
    update leaves as it is, and their runs would look there for code. What has run stays recorded.
    """
    with get_client(sync_client=True) as client:
        for deployment in served:
            with suppress(ObjectNotFound):
                there = client.read_deployment_by_name(f"{deployment.flow_name}/{deployment.name}")
                if there.work_pool_name is not None:
                    client.delete_deployment(there.id)


def main() -> int:
    """Serve until stopped; runs in progress are waited for."""
    if get_current_settings().api.url is None:
        print(NO_SERVER, file=sys.stderr)
        return 2
    served = [
        flow_of(what).to_deployment(
            name=what["name"],
            schedules=[
                Cron(s["cron"], timezone=s["timezone"], active=s["active"]) for s in what["schedules"]
            ],
            parameters=what["parameters"],
            description=what["description"],
            tags=what["tags"],
            concurrency_limit=ConcurrencyLimitConfig(**what["concurrency_limit"]),
        )
        for what in deployments()
    ]
    make_room(served)
    serve(*served)
    return 0


if __name__ == "__main__":
    sys.exit(main())
