"""Checks of entity names: any is allowed that stands for one entity; surprising ones are pointed out."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from posterity.panel.findings import Findings, listing, plural
from posterity.panel.ordering import Grouping

_LONG = 200


def check(grouping: Grouping, columns: tuple[str, ...], separator: str, findings: Findings) -> None:
    """Refuse joined names that stand for two entities; give notice of names that people will misread."""
    _collisions(grouping, columns, separator, findings)
    _one_column_in_two_spellings(grouping, columns, findings)
    values = {value for key in grouping.keys for value in key}
    if len(columns) > 1:
        _notice(
            findings,
            (v for v in values if separator in v),
            f"with {separator!r} inside, which also joins entity columns",
        )
    _notice(findings, (v for v in values if v != v.strip()), "with blanks at an end, which are kept")
    _notice(findings, (v for v in values if _controls(v)), "with line breaks or control characters")
    _notice(findings, (v for v in values if len(v) > _LONG), f"longer than {_LONG} characters")


def _collisions(grouping: Grouping, columns: tuple[str, ...], separator: str, findings: Findings) -> None:
    """("a / b", "c") and ("a", "b / c") join to one name: refused, since results are found by name."""
    names = grouping.names
    clashes = [i for i in range(1, len(names)) if names[i] == names[i - 1]]
    if clashes:
        i = clashes[0]
        findings.problem(
            f"{plural(len(clashes), 'pair')} of different entities would share a name, such as "
            f"{grouping.keys[i - 1]} and {grouping.keys[i]}, both {names[i]!r}; take {separator!r} out "
            f"of the values of {', '.join(columns)}"
        )


def _one_column_in_two_spellings(grouping: Grouping, columns: tuple[str, ...], findings: Findings) -> None:
    for j, column in enumerate(columns):
        spellings: dict[str, list[str]] = defaultdict(list)
        for value in sorted({key[j] for key in grouping.keys}):
            spellings[_look(value)].append(value)
        alike = [tuple(values) for values in spellings.values() if len(values) > 1]
        if alike:
            ascii_only = ", ".join(ascii(v) for v in alike[0])
            findings.notice(
                f"column {column!r}: {plural(len(alike), 'name')} in several spellings that look the same, "
                f"kept as different entities, such as {ascii_only}"
            )


def _look(value: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", value).split())


def _controls(value: str) -> bool:
    return not value.isprintable() and any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in value)


def _notice(findings: Findings, values: Iterable[str], what: str) -> None:
    found = sorted(values)
    if found:
        findings.notice(f"{plural(len(found), 'entity value')} {what}: {listing(found, 3)}")
