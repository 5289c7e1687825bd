"""A delivery of rows against what is inside: what is new, in which steps it is taken in, what changed."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from posterity.errors import PanelError
from posterity.panel import Panel
from posterity.panel.chunks import NEVER, Clock, steps
from posterity.panel.comparison import LATE, NEW, REPEATED, REVISED, Comparison, compare
from posterity.panel.digests import row_digests
from posterity.panel.findings import listing, plural
from posterity.panel.reading import Source
from posterity.portfolio.plan import read_panel
from posterity.portfolio.refit.inside import Inside


@dataclass(frozen=True, slots=True)
class Changes:
    """How many rows of an entity came late, were revised, or vanished."""

    late: int = 0
    revised: int = 0
    vanished: int = 0

    def __bool__(self) -> bool:
        return bool(self.late or self.revised or self.vanished)

    def __str__(self) -> str:
        counts = ((self.late, "late"), (self.revised, "revised"), (self.vanished, "vanished"))
        return " and ".join(f"{plural(n, 'row')} {what}" for n, what in counts if n)


@dataclass(frozen=True, eq=False)
class Step:
    """One refit: `panel` is everything inside afterwards, `rows` those that are taken in now (None: none)."""

    panel: Panel
    rows: Panel | None
    changes: Mapping[str, Changes] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Arrivals:
    """A delivery in steps, one a chunk; `counts` are its rows by kind (new, late, revised, repeated,
    vanished), `left_out` says of an entity why its rows were not taken, `unobserved` are the rows without a
    target, where the configuration puts them aside.
    """

    steps: tuple[Step, ...]
    counts: Mapping[str, int]
    left_out: Mapping[str, str]
    notices: tuple[str, ...]
    unobserved: Panel | None = None


def arrivals(inside: Inside, source: Source) -> Arrivals:
    """Read a delivery and compare it with what is inside.

    Rows that are inside already are left out, whatever else the delivery holds; so are all rows of an entity
    that the delivery has unusable ones of, which may come again once they are mended. Raises PanelError for a
    delivery that cannot be read.
    """
    known, read = inside.panel, read_panel(inside.config, source)
    delivered = distinct(inside, read)
    left_out = {
        e: f"{plural(int(delivered.counts[delivered.position(e)]), 'delivered row')} left out: {reason}"
        for e, reason in delivered.reasons.items()
    }
    usable = delivered.taking(~rows_of(delivered, left_out)) if left_out else delivered
    notices = tuple(f"{e}: {reason}" for e, reason in list(left_out.items())[:20])
    if usable is None:
        return Arrivals((Step(known, None),), {}, left_out, notices, read.unobserved)
    usable = _aligned(known, usable)
    found = compare(known, usable)
    counts = dict(Counter(found.kinds.tolist())) | {"vanished": int(found.vanished.sum())}
    told = tuple(_notices(found, known, usable))
    steps = tuple(_steps(inside, usable, found))
    return Arrivals(steps, counts, left_out, (*notices, *told), read.unobserved)


def distinct(inside: Inside, delivered: Panel) -> Panel:
    """The delivery without rows that it repeats itself."""
    if delivered.time is None or delivered.n_rows < 2:
        return delivered
    words = row_digests(delivered)
    again = np.zeros(delivered.n_rows, bool)
    again[1:] = (words[1:] == words[:-1]).all(axis=1)
    again[delivered.offsets[:-1]] = False
    if not again.any():
        return delivered
    return read_panel(inside.config, delivered.table.filter(pa.array(~again)))


def rows_of(panel: Panel, entities: Container[str]) -> NDArray[np.bool_]:
    """Mask (rows,) of the rows of these entities."""
    return np.repeat(np.array([e in entities for e in panel.entities], bool), panel.counts)


def _steps(inside: Inside, delivered: Panel, found: Comparison) -> Iterator[Step]:
    known = inside.panel
    taken = found.kinds != REPEATED
    kept = known.table.filter(pa.array(~(found.revised | found.vanished)))
    changes = _changes(known, delivered, found)
    number = _numbers(inside.clock, known, delivered, found)
    last = int(number[taken].max()) if taken.any() else 0
    for step in range(last + 1):
        until = delivered.table.filter(pa.array(taken & (number <= step)))
        now = delivered.taking(taken & (number == step))
        table = pa.concat_tables([kept, until])
        yield Step(read_panel(inside.config, table), now, changes if step == 0 else {})


def _numbers(cut: Clock | None, known: Panel, delivered: Panel, found: Comparison) -> NDArray[np.int64]:
    """The step (rows,) in which each delivered row is taken in: what changes the past comes first."""
    number = np.zeros(delivered.n_rows, np.int64)
    new = found.kinds == NEW
    if cut is None or known.time is None or not new.any():
        return number
    chunk = cut.numbers(delivered.table.column(known.time).to_numpy())
    ends = cut.numbers(known.table.column(known.time).to_numpy()[known.offsets[1:] - 1])
    place = {entity: i for i, entity in enumerate(known.entities)}
    last = np.array([ends[place[e]] if e in place else NEVER for e in delivered.entities], np.int64)
    entity = np.repeat(np.arange(len(delivered.entities)), delivered.counts)
    number[new] = steps(entity[new], chunk[new], last, dated=cut.dated)
    return number


def _changes(known: Panel, delivered: Panel, found: Comparison) -> dict[str, Changes]:
    def count(panel: Panel, mask: NDArray[np.bool_]) -> dict[str, int]:
        sums = np.add.reduceat(mask, panel.offsets[:-1], dtype=np.int64)
        return {panel.entities[i]: int(sums[i]) for i in np.flatnonzero(sums)}

    late = count(delivered, found.kinds == LATE)
    revised = count(delivered, found.kinds == REVISED)
    vanished = count(known, found.vanished)
    return {
        e: Changes(late.get(e, 0), revised.get(e, 0), vanished.get(e, 0))
        for e in {*late, *revised, *vanished}
    }


def _notices(found: Comparison, known: Panel, delivered: Panel) -> Iterator[str]:
    """What a person should know of a delivery."""
    repeated = int((found.kinds == REPEATED).sum())
    if repeated:
        yield f"{plural(repeated, 'row is', 'rows are')} inside already and not counted again"
    changes = _changes(known, delivered, found)
    for what in ("late", "revised", "vanished"):
        who = sorted(e for e, c in changes.items() if getattr(c, what))
        if who:
            rows = sum(getattr(changes[e], what) for e in who)
            yield f"{plural(rows, 'row')} {what}: {listing(who, 3)} fitted on all rows again"


def _aligned(known: Panel, delivered: Panel) -> Panel:
    """The delivery with the column types of the rows inside. Raises PanelError where values do not fit."""
    table, problems = delivered.table, []
    for place, column in enumerate(table.schema):
        wanted = known.table.schema.field(column.name).type
        if wanted == column.type:
            continue
        try:
            table = table.set_column(place, column.name, table.column(place).cast(wanted))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            problems.append(
                f"column {column.name!r} is {column.type} and was {wanted} in the rows inside; deliver the "
                "same kind of values"
            )
    if problems:
        raise PanelError(problems)
    return delivered if table is delivered.table else replace(delivered, table=table)
