"""Which column plays which part, and the names a column cannot have because result tables use them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from posterity.panel.findings import Findings, listing, nearest

# The columns of entities.parquet beside the entity columns themselves (see the result tables).
_OF_ENTITIES = re.compile(
    r"entity|status|reason|method|role|n_rows|first_time|last_time|rhat|ess_bulk|ess_tail|divergences|bfmi|khat"
    r"|seconds|prior|prior_rows|conflict_p|vague_weight|fit_key|parent_fit_key|mae|coverage_\d+(_\d+)?"
)
# The columns of intervals.parquet beside time and inputs.
_OF_INTERVALS = re.compile(
    r"entity|observed|mean|median|(expected_)?(lower|upper)_\d+(_\d+)?|expected_(mean|median)"
)


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns a portfolio needs. `inputs` holds no time column; entity columns may be among them."""

    entity: tuple[str, ...]
    time: str | None
    target: str | None
    inputs: tuple[str, ...]

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column to read, once: entity columns, time, target, inputs."""
        found = (*self.entity, self.time, self.target, *self.inputs)
        return tuple(dict.fromkeys(name for name in found if name is not None))


def assign(
    entity: Sequence[str] | str,
    time: str | None,
    target: str | None,
    columns: Sequence[str],
    findings: Findings,
) -> Roles:
    """Roles of the named columns; a column in two impossible roles, or with a reserved name, is a problem."""
    keys = (entity,) if isinstance(entity, str) else tuple(entity)
    inputs = tuple(dict.fromkeys(name for name in columns if name != time))
    if not keys:
        findings.problem("no entity column is named; name at least one column whose values are the entities")
    if len(set(keys)) < len(keys):
        twice = sorted({k for k in keys if keys.count(k) > 1})
        findings.problem(f"entity columns are named twice: {', '.join(twice)}; name each once")
    if time is not None and time in keys:
        findings.problem(
            f"column {time!r} is both an entity column and the time; an entity must keep its name over time"
        )
    if target is not None and target in keys:
        findings.problem(f"column {target!r} is both an entity column and the target; choose another")
    if target is not None and target == time:
        findings.problem(f"column {target!r} is both the time and the target; choose another")
    if target is not None and target in inputs:
        findings.problem(f"the target {target!r} is also an input; a model cannot explain a column by itself")
    _refuse_reserved(keys, time, inputs, findings)
    return Roles(keys, time, target, inputs)


def _refuse_reserved(
    keys: tuple[str, ...], time: str | None, inputs: tuple[str, ...], findings: Findings
) -> None:
    for name in dict.fromkeys(keys):
        # A single entity column called `entity` is the joined name itself: no clash.
        if _OF_ENTITIES.fullmatch(name) and not (keys == ("entity",) and name == "entity"):
            findings.problem(
                f"entity column {name!r} has the name of a column of the result tables; rename it in the data"
            )
    of_rows = [name for name in (time, *inputs) if name is not None and name not in keys]
    if "time" in inputs and time not in (None, "time"):
        findings.problem(
            "input column 'time' has the name of a column of the result tables; rename it in the data"
        )
    for name in of_rows:
        if _OF_INTERVALS.fullmatch(name):
            kind = "time column" if name == time else "input column"
            findings.problem(
                f"{kind} {name!r} has the name of a column of the result tables; rename it in the data"
            )


def present_columns(
    names: list[str],
    needed: tuple[str, ...],
    where: str | None,
    findings: Findings,
    also: tuple[str, ...] = (),
) -> list[str]:
    """Needed names that are there once; the others become problems."""
    known = [*names, *also]
    for name in needed:
        if name not in known:
            found = f"the columns are {listing(known, 12)}" if known else "it has no columns"
            findings.problem(f"there is no column {name!r}; {found}{nearest(name, known)}", where)
        elif names.count(name) > 1:
            findings.problem(
                f"column {name!r} is there {names.count(name)} times; rename or drop the others", where
            )
    return [name for name in needed if names.count(name) == 1]
