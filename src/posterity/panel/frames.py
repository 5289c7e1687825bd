"""pandas frames: columns that hold several Python types are looked at cell by cell, all others by Arrow."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from posterity.panel.findings import Findings, plural

if TYPE_CHECKING:
    import pandas as pd


def from_frame(
    frame: "pd.DataFrame", needed: tuple[str, ...], entity: tuple[str, ...], findings: Findings
) -> pa.Table:
    """The needed columns of a frame as an Arrow table, in the frame's row order; its index is not read."""
    labels = [str(c) for c in frame.columns]
    for level in frame.index.names:
        if level in needed and level not in labels:
            findings.problem(f"{level!r} is the frame's index, not a column; call reset_index() first")
    arrays: list[pa.Array | pa.ChunkedArray] = []
    names: list[str] = []
    for i, label in enumerate(labels):
        names.append(label)
        if label in needed:
            arrays.append(_column(frame.iloc[:, i], label, label in entity, findings))
        else:
            arrays.append(pa.nulls(len(frame)))
    return pa.Table.from_arrays(arrays, names=names)


def _column(
    series: "pd.Series[Any]", name: str, is_entity: bool, findings: Findings
) -> pa.Array | pa.ChunkedArray:
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError) as error:
        if is_entity and not isinstance(error, UnicodeEncodeError):
            return _mixed_entity(series, name, findings)
        kinds = Counter(type(v).__name__ for v in series if v is not None)
        found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
        findings.problem(
            f"column {name!r} cannot be read: it holds {found}; give every cell one type ({error})"
        )
        return pa.nulls(len(series))


def _mixed_entity(series: "pd.Series[Any]", name: str, findings: Findings) -> pa.Array:
    """Entity cells of several types as text; two values that would get the same text cannot be told apart."""
    cells: list[str | None] = []
    origins: dict[str, set[str]] = {}
    for value in series:
        missing = value is None or value != value or type(value).__name__ in ("NAType", "NaTType")
        text = None if missing else _text(value)
        if text is not None:
            origins.setdefault(text, set()).add(type(value).__name__)
        cells.append(text)
    clashes = [
        f"{text!r} as {' and '.join(sorted(kinds))}" for text, kinds in origins.items() if len(kinds) > 1
    ]
    kinds = sorted(set().union(*origins.values()))
    if clashes:
        shown = "; ".join(clashes[:3])
        findings.problem(
            f"entity column {name!r} mixes {' and '.join(kinds)}, and {plural(len(clashes), 'value')} cannot "
            f"be told apart ({shown}); write all as text"
        )
    elif len(kinds) > 1:
        findings.notice(f"entity column {name!r} mixes {' and '.join(kinds)}; all were read as text")
    return pa.array(cells, pa.string())


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
