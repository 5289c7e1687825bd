"""Rules to sources: where the prior of every entity comes from, before anything is opened or fitted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from posterity.config.transfer import Rule, Transfer

TEACHERS = 3
"""With fewer established entities nothing can be learned of the spread between them."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a prior comes from.

    `kind` is declared, population, entity, file, portfolio or previous; `name` the parent, the file or the
    result's folder; `group` the values of `pool.within` that choose a population. `rule` is the rule's place
    in the configuration (None: no rule said so). What is known once the source has been opened: `digest`, of
    the file or the run, and `parent`, the fit key of the posterior that becomes the prior.
    """

    kind: str = "declared"
    name: str = ""
    group: tuple[str, ...] = ()
    discount: float = 1.0
    fallback: str = "declared"
    match: tuple[tuple[str, str], ...] = ()
    rule: int | None = None
    digest: str = ""
    parent: str = ""

    @property
    def label(self) -> str:
        """What tables and people read: `population: north`, `entity: P01 / north`, `declared`."""
        name = " / ".join(self.group) if self.kind == "population" else self.name
        return self.kind if self.kind in ("declared", "previous") or not name else f"{self.kind}: {name}"

    def instead(self, group: tuple[str, ...], population: bool) -> "Source":
        """What the entity gets where this cannot be used."""
        learns = self.fallback == "population" and population
        return Source("population", group=group, rule=self.rule) if learns else Source(rule=self.rule)


DECLARED = Source()


@dataclass(frozen=True)
class Sources:
    """A source for every entity, who teaches, and what people should know about both.

    `roles` are established and new; `teachers` the established ones that can be fitted, `pooled` those of
    them that learn from their own population (`pool.shrink`). `notes` say of an entity why it has another
    source than its rule names.
    """

    of: Mapping[str, Source]
    roles: Mapping[str, str] = field(default_factory=dict)
    teachers: tuple[str, ...] = ()
    pooled: frozenset[str] = frozenset()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def assign(
    transfer: Transfer | None,
    rows: Mapping[str, int],
    groups: Mapping[str, tuple[str, ...]],
    unfit: Iterable[str] = (),
) -> Sources:
    """The source of each entity: its rule's, else the population for new ones and declared for established.

    `rows` counts the rows of every entity, `groups` holds its values of the columns of `pool.within`; `unfit`
    cannot be fitted, so they neither teach nor are parents (what follows is `settle`'s business).
    """
    if transfer is None:
        return Sources(dict.fromkeys(rows, DECLARED), _roles(None, rows), groups=groups)
    chosen = {entity: first_match(transfer.rules, entity) for entity in rows}
    kinds = {e: None if i is None else transfer.rules[i].kind for e, i in chosen.items()}
    roles = {e: "established" if teaches(transfer, e, n, kinds[e]) else "new" for e, n in rows.items()}
    barred = set(unfit)
    teachers = tuple(e for e in rows if roles[e] == "established" and e not in barred)
    pooled = frozenset(e for e in teachers if transfer.pool.shrink and kinds[e] != "declared")
    of = {}
    for entity, number in chosen.items():
        if entity in pooled or (number is None and roles[entity] == "new"):
            of[entity] = Source("population", group=groups[entity], rule=number)
        elif number is None or roles[entity] == "established":
            of[entity] = Source(rule=number)
        else:
            of[entity] = _source(transfer.rules[number], number, groups[entity])
    unused = [i for i in range(len(transfer.rules)) if i not in set(chosen.values())]
    notices = [f"transfer.rules[{i}] matches no entity, or none that an earlier rule left" for i in unused]
    return Sources(of, roles, teachers, pooled, groups, {}, tuple(notices))


def jointly(
    transfer: Transfer | None, rows: Mapping[str, int], groups: Mapping[str, tuple[str, ...]]
) -> Sources:
    """The sources of a joint model: everyone learns from the population, and everyone teaches it."""
    of = {entity: Source("population", group=groups[entity]) for entity in rows}
    return Sources(of, _roles(transfer, rows), groups=groups)


def established(transfer: Transfer | None, entity: str, rows: int) -> bool:
    """Whether an entity has rows enough to teach and a name that may."""
    settings = (transfer or Transfer()).established
    return rows >= settings.min_rows and matches(settings.entities, entity)


def teaches(transfer: Transfer, entity: str, rows: int, kind: str | None) -> bool:
    """Whether an entity is established and does not learn from elsewhere.

    A rule `from: population` leaves it a teacher: nobody learns from what it has taught itself (but see
    `pool.shrink`).
    """
    return established(transfer, entity, rows) and kind in (None, "declared", "population")


def first_match(rules: Sequence[Rule], entity: str) -> int | None:
    """Position of the first rule for an entity; a rule never makes its parent learn from itself."""
    for number, rule in enumerate(rules):
        if matches(rule.learn, entity) and not (rule.kind == "entity" and rule.name == entity):
            return number
    return None


def matches(patterns: Iterable[str], entity: str) -> bool:
    """Whether a name is one of the patterns or matches it as the shell would, case and all."""
    return any(entity == pattern or fnmatchcase(entity, pattern) for pattern in patterns)


def without_population(sources: Sources) -> Sources:
    """The same where nobody can learn from a population: the declared prior in its place."""
    lost = {e for e, s in sources.of.items() if s.kind == "population"}
    if not lost:
        return sources
    few = len(sources.teachers)
    found = "no entity is" if not few else "one entity is" if few == 1 else f"{few} entities are"
    notice = (
        f"{found} established, and a population takes {TEACHERS}: from fewer the spread between entities "
        f"cannot be learned; {len(lost):,} keep the declared prior"
    )
    return replace(
        sources,
        of={e: Source(rule=s.rule) if e in lost else s for e, s in sources.of.items()},
        pooled=frozenset(),
        notes={
            **sources.notes,
            **dict.fromkeys(lost, f"declared instead of population: {found} established"),
        },
        notices=(*sources.notices, notice),
    )


def _roles(transfer: Transfer | None, rows: Mapping[str, int]) -> dict[str, str]:
    return {e: "established" if established(transfer, e, n) else "new" for e, n in rows.items()}


def _source(rule: Rule, number: int, group: tuple[str, ...]) -> Source:
    learns = rule.kind == "population"
    return Source(
        kind=rule.kind,
        name=rule.name or "",
        group=group if learns else (),
        discount=rule.discount,
        fallback=rule.fallback,
        match=tuple(rule.match.items()),
        rule=number,
    )
