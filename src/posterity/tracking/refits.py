"""What runs say of versions: which one this is, what it came from, who was updated how, what audits found."""

from collections.abc import Mapping
from typing import Any

from posterity.portfolio.account import KINDS, WAYS, of_version
from posterity.portfolio.ledger import HISTORY
from posterity.portfolio.result import Result
from posterity.tracking import names
from posterity.tracking.address import fragment
from posterity.tracking.entity import numbers, plain
from posterity.tracking.tracker import Tracker

PARENT_RUN = "parent_run"
"""The tag with the id of the run that recorded the version before."""


def tags(result: Result, tracker: Tracker) -> dict[str, str]:
    """Of the portfolio's run: its version; of a refit the version before, and the run that recorded it."""
    found = {"version": str(result.version)}
    parent = result.manifest.extra.get("parent") or {}
    if not parent.get("run_key"):
        return found
    found |= {"parent_run_key": str(parent["run_key"]), "parent_version": str(parent.get("version"))}
    run = run_of(tracker, str(parent["run_key"]))
    return found | ({PARENT_RUN: run} if run else {})


def run_of(tracker: Tracker, run_key: str) -> str | None:
    """The newest finished run that has recorded a result; None where there is none in this experiment."""
    same = [
        r for r in tracker.find(status="FINISHED") if r.parent is None and r.tags.get("run_key") == run_key
    ]
    return max(same, key=lambda r: r.started).run_id if same else None


def metrics(result: Result) -> dict[str, float]:
    """Of the portfolio's run: version, the delivery's rows by kind (`rows.new`), updates by way
    (`updated.carry`), and the worst that audits found.
    """
    rows, updates, drifts = of_version(result)
    found: dict[str, Any] = {"version": result.version}
    if result.manifest.extra.get("parent"):
        found |= {f"rows.{kind}": rows.get(kind, 0) for kind in KINDS}
        found |= {f"updated.{way}": updates.get(way, 0) for way in WAYS}
        found |= {"updated": sum(updates.values()), "drift.audits": drifts.audits}
        found |= {"drift.max_shift": drifts.max_shift, "drift.max_ratio": drifts.max_ratio}
    return numbers(found)


def entity_tags(result: Result, entity: str) -> dict[str, str]:
    """Of an entity's run: in which version its posterior was made, how, and why not otherwise."""
    row = result.entity_row(entity)
    found = {k: str(row[k]) for k in ("version", "update") if row.get(k) is not None}
    last = _last(result, entity)
    return found | ({"update_reason": names.one_line(last["reason"], 500)} if last.get("reason") else {})


def entity_metrics(result: Result, entity: str) -> dict[str, float]:
    """Of an entity's run: its version, the rows that its last update took in, and what an audit found."""
    last = _last(result, entity)
    return numbers({k: last.get(k) for k in ("version", "new_rows", "shift", "ratio")})


def _last(result: Result, entity: str) -> Mapping[str, Any]:
    if not result.has(HISTORY):
        return {}
    rows = result.entity_table(HISTORY, entity)
    last: Mapping[str, Any] = rows.slice(rows.num_rows - 1, 1).to_pylist()[0] if rows.num_rows else {}
    return last


def sentence(result: Result, told: Mapping[str, str], experiment_id: str) -> str:
    """The same for the note of the portfolio's run, in Markdown; "" for a first fit."""
    parent = result.manifest.extra.get("parent") or {}
    if not parent.get("run_key"):
        return ""
    before = f"version {parent.get('version')}"
    if PARENT_RUN in told:
        before = f"[{before}]({fragment(experiment_id, told[PARENT_RUN])})"
    rows, updates, drifts = of_version(result)
    parts = [", ".join(f"{n:,} {kind}" for kind, n in rows.items()) + " rows"] if rows else []
    parts += [", ".join(f"{n:,} {way}" for way, n in updates.items()) or "nothing updated"]
    if drifts.audits:
        parts += [f"{drifts.audits:,} audits, worst {drifts.max_shift:.2g} sds and × {drifts.max_ratio:.3g}"]
    return f"**Version {result.version}**, from {before}: {plain('; '.join(parts), 500)}"
