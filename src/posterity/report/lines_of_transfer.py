"""Who taught whom, gathered into few enough boxes to be read: the value behind the transfer graph."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from posterity.portfolio.result import Result
from posterity.report import style
from posterity.report.learned import grouped

_MOST_GROUPS = 12
_MOST_SOURCES = 6
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Box:
    """One or many entities, a population, or something outside the run. `trouble` is what needs a look."""

    column: int
    kind: str
    title: str
    text: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class TransferView:
    """Boxes in columns from teachers to the last who learned, and links (from, to, how many entities)."""

    name: str
    facts: str
    columns: tuple[str, ...]
    boxes: tuple[Box, ...]
    links: tuple[tuple[int, int, int], ...]


@dataclass
class _Drawing:
    """Boxes by key while they are being collected, in order of appearance."""

    boxes: dict[tuple[Any, ...], Box] = field(default_factory=dict)
    links: Counter[tuple[tuple[Any, ...], tuple[Any, ...]]] = field(default_factory=Counter)


def transfer_view(result: Result) -> TransferView | None:
    """The view of a result; None where everybody kept the declared prior.

    Groups beyond twelve are one, and so are parents, files and other runs beyond six of a kind.
    """
    rows = _rows(result)
    learners = [row for row in rows if row["kind"] != "declared"]
    if not learners:
        return None
    drawing, population = _Drawing(), result.population
    taught = set(population.teachers) if population else set()
    first = 2 if population else 1
    columns = _columns(rows, first)
    shape = _Shape(taught, columns, first, _gathered(rows))
    home = {}
    for row in rows:
        if row["entity"] in taught or row["kind"] == "declared":
            home[row["entity"]] = ("taught" if row["entity"] in taught else row["role"], row["group"])
        if row["kind"] != "declared":
            home.setdefault(row["entity"], shape.key(row))
    plain = ("taught", "established", "new")
    _teachers(drawing, [row for row in rows if home[row["entity"]][0] in plain], home)
    if population:
        _populations(drawing, result, rows, taught)
    by_box = defaultdict(list)
    for row in learners:
        by_box[shape.key(row)].append(row)
    gate = float((result.settings.get("gates") or {}).get("conflict", 0.01))
    for key, members in by_box.items():
        drawing.boxes[key] = _learners(key, members, gate)
        for row in members:
            drawing.links[shape.source(row, home, drawing), key] += 1
    return _finished(result, drawing, len(learners), taught)


@dataclass(frozen=True)
class _Shape:
    """How learners are put into boxes."""

    taught: set[str]
    columns: Mapping[str, int]
    first: int
    gathered: frozenset[str]

    def key(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """The box of a learner."""
        name = row["group"] if row["kind"] == "population" else row["name"]
        name = "" if row["kind"] in self.gathered else name
        return ("learner", self.columns[row["entity"]], row["kind"], name, row["role"])

    def source(
        self, row: Mapping[str, Any], home: Mapping[str, tuple[Any, ...]], drawing: _Drawing
    ) -> tuple[Any, ...]:
        """The box that a learner's prior came from, made where it lies outside the run."""
        if row["kind"] == "population":
            return ("population", row["group"])
        if row["kind"] == "entity" and row["name"] in home:
            return home[row["name"]]
        name = "" if row["kind"] in self.gathered else row["name"]
        key = ("outside", row["kind"], name)
        words = {"file": "prior file", "portfolio": "another portfolio", "previous": "previous result"}
        what = words.get(row["kind"], row["kind"])
        drawing.boxes.setdefault(key, Box(0, "outside", what if name else f"{what}s", name or "several"))
        return key


def _rows(result: Result) -> list[dict[str, Any]]:
    """Entities with the kind and name of their source, and their group."""
    rows: list[dict[str, Any]] = result.table("entities.parquet").to_pylist()
    groups: Sequence[str] = [""] * len(rows)
    if result.population is not None:
        names, at = grouped(result, result.population, rows)
        groups = [names[i] if len(names) <= _MOST_GROUPS else f"{len(names):,} groups" for i in at]
    for row, group in zip(rows, groups, strict=True):
        kind, _, name = (row["prior"] or "declared").removeprefix("own ").partition(": ")
        # Equal labels of different priors are told apart by a digest.
        kind, name = kind.partition(" #")[0], name.partition(" #")[0]
        row |= {"kind": kind, "name": name, "group": group}
    return rows


def _gathered(rows: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Kinds of source of which there are too many to draw each."""
    names = defaultdict(set)
    for row in rows:
        names[row["kind"]].add(row["name"])
    return frozenset(k for k, found in names.items() if k != "population" and len(found) > _MOST_SOURCES)


def _columns(rows: Sequence[Mapping[str, Any]], first: int) -> dict[str, int]:
    """The column of every entity: children stand right of their parents."""
    by_name = {row["entity"]: row for row in rows}
    found: dict[str, int] = {}
    for row in rows:
        chain, entity = [], row["entity"]
        while entity in by_name and entity not in found and entity not in chain:
            chain.append(entity)
            entity = by_name[entity]["name"] if by_name[entity]["kind"] == "entity" else ""
        for member in reversed(chain):
            own = by_name[member]
            above = found.get(own["name"], 0) if own["kind"] == "entity" else 0
            found[member] = 0 if own["kind"] == "declared" else max(first, above + 1)
    return found


def _teachers(
    drawing: _Drawing, rows: Sequence[Mapping[str, Any]], home: Mapping[str, tuple[Any, ...]]
) -> None:
    members = defaultdict(list)
    for row in rows:
        members[home[row["entity"]]].append(row)
    for key in sorted(members, key=lambda k: ("taught", "established", "new").index(k[0])):
        count = sum(row["n_rows"] for row in members[key])
        kind, group = key
        title = f"{len(members[key]):,} {'established' if kind == 'taught' else kind}"
        about = _names(members[key]) if len(members[key]) <= _NAMED else f"{count:,} rows"
        about += "" if kind == "taught" else ", declared prior"
        about = f"{group}, {about}" if group else about
        own = "taught" if kind == "taught" else "declared"
        drawing.boxes[key] = Box(0, own, title, about, _bad(members[key]))
        if kind == "taught":
            drawing.links[key, ("population", group)] += len(members[key])


def _populations(
    drawing: _Drawing, result: Result, rows: Sequence[Mapping[str, Any]], taught: set[str]
) -> None:
    weights = {row["group"]: row["prior_rows"] for row in rows if row["kind"] == "population"}
    used = [r["group"] for r in rows if r["entity"] in taught or r["kind"] == "population"]
    for group in dict.fromkeys(used):
        worth = weights.get(group)
        text = "" if worth is None else f"worth {style.number(worth)} rows"
        title = f"population: {group}" if group else "population"
        drawing.boxes["population", group] = Box(1, "population", title, text or "not used")


def _learners(key: tuple[Any, ...], members: Sequence[Mapping[str, Any]], gate: float) -> Box:
    _, column, kind, name, role = key
    what = "pooled" if kind == "population" and role == "established" else role
    text = _names(members) if len(members) <= _NAMED else f"{sum(m['n_rows'] for m in members):,} rows"
    if kind == "entity":
        text += f", from {name or 'several parents'}"
    elif kind == "population" and name:
        text = f"{name}, {text}"
    conflicts = sum(m["conflict_p"] is not None and m["conflict_p"] < gate for m in members)
    trouble = _bad(members, conflicts)
    return Box(column, "learner", f"{len(members):,} {what}", text, trouble)


def _bad(members: Sequence[Mapping[str, Any]], conflicts: int = 0) -> str:
    """What needs a look: a conflict is one reason to be flagged, and says more."""
    counts = Counter(m["status"] for m in members)
    found = {"failed": counts["failed"], "in conflict": conflicts, "flagged": counts["flagged"] - conflicts}
    return ", ".join(f"{n:,} {what}" for what, n in found.items() if n > 0)


def _names(members: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(str(m["entity"]) for m in members)


def _finished(result: Result, drawing: _Drawing, learned: int, taught: set[str]) -> TransferView:
    # An entity that taught nobody and learned nothing needs no box of its own beside the links.
    place = {key: i for i, key in enumerate(drawing.boxes)}
    last = max(box.column for box in drawing.boxes.values())
    names = ["teach", "population", "learn"] if taught else ["teach", "learn"]
    names += ["learn from those"] * (last + 1 - len(names))
    facts = f"{learned:,} of {result.table('entities.parquet').num_rows:,} entities learned from others"
    if taught:
        facts += f"; {len(taught):,} taught the population"
        if result.population is not None and len(result.population.groups) > 1:
            facts += ", whose groups learn from one another"
    links = tuple((place[a], place[b], n) for (a, b), n in drawing.links.items() if a in place and b in place)
    return TransferView(result.name, facts, tuple(names), tuple(drawing.boxes.values()), links)
