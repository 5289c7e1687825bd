"""A tracked result as a version of its portfolio, with the alias `challenger`."""

import tempfile
from pathlib import Path

from posterity.portfolio.result import Result, open_result
from posterity.tracking.origin import Origin
from posterity.tracking.registry.registry import CHALLENGER, Registry, Version

KEY = "run_key"


def register(registry: Registry, result: Result, run_id: str) -> Version:
    """Register the result that the run `run_id` has recorded, unless it is registered already; the newest
    version is `challenger`.

    The version's tags say what it is: run key, fit version, counts, share of flagged entities, digests of
    configuration and data, parent. A registration that was killed is finished by the next one: what is stored
    without a version is stored again, and the alias moves last. Raises TrackingError.
    """
    with registry.alone(result.name):
        version = registered(registry, result)
        if version is None:
            from posterity.tracking.serving.save import save  # imports MLflow

            with tempfile.TemporaryDirectory(prefix="posterity-") as scratch:
                model = save(result, Path(scratch))
                version = registry.create(result.name, run_id, model, tags(result))
        now = registry.pointed(result.name, CHALLENGER)
        # A result that is found again must not push a newer one aside.
        if now is None or now < version.number:
            registry.point(version, CHALLENGER)
    return version


def registered(registry: Registry, result: Result) -> Version | None:
    """The version of this very result; None where it was never registered."""
    same = [v for v in registry.versions(result.name) if v.tags.get(KEY) == result.manifest.run_key]
    return same[0] if same else None


def tags(result: Result) -> dict[str, str]:
    """What a version says of its result."""
    origin, extra = Origin(result), result.manifest.extra
    parent = extra.get("parent") or {}
    total = max(len(result.entities), 1)
    flagged = result.counts.get("flagged", 0) + result.counts.get("failed", 0)
    found = {
        KEY: result.manifest.run_key,
        "fit_version": str(extra.get("version", 1)),
        "created": result.manifest.created,
        "engine": str(result.manifest.engine),
        "result": str(result.path.absolute()),
        "entities": str(len(result.entities)),
        "share_flagged": f"{flagged / total:.4g}",
        "config_hash": origin.config,
        "data_hash": origin.data,
        **{f"entities_{status}": str(n) for status, n in result.counts.items()},
    }
    return found | ({"parent_run_key": str(parent["run_key"])} if parent.get("run_key") else {})


def open_version(registry: Registry, version: Version, into: Path) -> Result:
    """The result of a version: the folder it was made in while that is there and the same, else a copy that
    is fetched into the folder `into`.
    """
    here = Path(version.tags.get("result", ""))
    if version.tags.get("result") and (here / "manifest.json").exists():
        found = open_result(here)
        if found.manifest.run_key == version.tags.get(KEY):
            return found
    return open_result(registry.result(version, into))
