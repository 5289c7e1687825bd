"""One canonical type per role: entity columns are text, the target float64, inputs float64 or text.

Everything later (digests, levels, result tables) sees these types only: Parquet and CSV give the same panel.
"""

import pyarrow as pa
import pyarrow.compute as pc

from posterity.panel.findings import Findings, listing, plural

NUMBER = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity)$"
_MISSING = "NA N/A n/a na NaN nan -nan -NaN NULL null None #N/A <NA>".split()
_EXACT = 2**53  # whole numbers beyond are rounded in float64


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dictionaries and run lengths decoded; text as `string`."""
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def entity_text(name: str, column: pa.ChunkedArray, findings: Findings) -> pa.ChunkedArray | None:
    """An entity column as text; None and a problem where its type names no entity or a cell is empty."""
    kind = column.type
    if pa.types.is_string(kind):
        text = column
    elif (
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_date32(kind)
        or pa.types.is_null(kind)
    ):
        text = column.cast(pa.string())
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        text = _whole_numbers(name, column, findings)
    else:
        findings.problem(
            f"entity column {name!r} is {kind}; entities are named by text or whole numbers: write it as text"
        )
        return None
    if text is None:
        return None
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        findings.problem(f"entity column {name!r} holds bytes that are not UTF-8; write it as UTF-8 text")
        return None
    blank = pc.equal(pc.utf8_trim_whitespace(text), "")
    missing = text.null_count + (pc.sum(blank).as_py() or 0)
    if missing:
        rows = plural(missing, "row")
        findings.problem(
            f"entity column {name!r} is empty in {rows} of {len(text):,}; name the entity or leave them out"
        )
        return None
    return text


def _whole_numbers(name: str, column: pa.ChunkedArray, findings: Findings) -> pa.ChunkedArray | None:
    """Whole numbers stored as floats or decimals, as text; floats that several integers share are refused."""
    if pa.types.is_decimal(column.type):
        whole = column.cast(pa.decimal256(76, 0), safe=False)
        odd = pc.filter(column, pc.not_equal(column, pc.floor(column)))
    else:
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        exact = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), float(_EXACT)))
        odd = pc.filter(column, pc.invert(exact))
        whole = pc.if_else(exact, column, 0.0).cast(pa.int64())
    if len(odd):
        shown = listing((str(v) for v in odd.slice(0, 3).to_pylist()), 3)
        findings.problem(
            f"entity column {name!r} is {column.type} with {plural(len(odd), 'value')} other than whole "
            f"numbers below 2**53 ({shown}); name entities by text or whole numbers"
        )
        return None
    if not pa.types.is_decimal(column.type):
        findings.notice(f"entity column {name!r} is stored as floats; its whole numbers were read as text")
    return whole.cast(pa.string())


def numbers(
    name: str, role: str, column: pa.ChunkedArray, spelled: bool, findings: Findings
) -> pa.ChunkedArray | None:
    """A column as float64, missing values null or NaN; None and a problem where it holds no numbers.

    `role` says what the column is to the model ("target", "input"); `spelled` that text is the file's way of
    storing.
    """
    kind = column.type
    if pa.types.is_string(kind):
        return _parsed(name, role, column, spelled, findings)
    if pa.types.is_null(kind) or column.null_count == len(column):
        findings.problem(
            f"{role} {name!r} has no value in any of {plural(len(column), 'row')}; is it the right column?"
        )
        return None
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).cast(pa.float64())
    if pa.types.is_integer(kind):
        beyond = pc.greater_equal(pc.abs(column.cast(pa.float64(), safe=False)), float(_EXACT))
        if pc.any(beyond).as_py():
            findings.notice(
                f"{role} {name!r} holds whole numbers from 2**53 on, which are rounded to float64"
            )
        return column.cast(pa.float64(), safe=False)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False)
    findings.problem(f"{role} {name!r} is {kind}, not a number; {_advice(kind)}")
    return None


def _advice(kind: pa.DataType) -> str:
    if pa.types.is_duration(kind):
        return "a length of time has no unit in a model: write it as a number of days or hours"
    if pa.types.is_temporal(kind):
        return "write it as a number, or name it as the time column"
    return "write it as a number"


def trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without outer blanks, the usual spellings of a missing value as null."""
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(text, value_set=pa.array(["", *_MISSING])), pa.scalar(None, pa.string()), text)


def _parsed(
    name: str, role: str, column: pa.ChunkedArray, spelled: bool, findings: Findings
) -> pa.ChunkedArray | None:
    text = trimmed(column)
    if text.null_count == len(text):
        findings.problem(
            f"{role} {name!r} has no value in any of {plural(len(column), 'row')}; is it the right column?"
        )
        return None
    found = _as_numbers(text)
    if found is None:
        bad = unlike(text, NUMBER)
        commas = (
            " (a decimal comma? write a point)"
            if pc.any(pc.match_substring_regex(bad, "^[0-9]+,[0-9]+$")).as_py()
            else ""
        )
        shown = listing(pc.unique(bad).to_pylist(), 3)
        findings.problem(
            f"{role} {name!r} holds text in {plural(len(bad), 'row')} of {len(text):,}: {shown}{commas}; "
            "every cell must be a number or empty"
        )
    elif not spelled:
        findings.notice(f"{role} {name!r} is stored as text and was read as numbers")
    return found


def _as_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Numbers where every cell spells one (or true and false throughout), else None."""
    for candidate in (text, pc.replace_substring_regex(text, "^[+]", "")):
        try:
            return candidate.cast(pa.float64())
        except pa.ArrowInvalid:
            continue
    words = pc.unique(pc.utf8_lower(text)).drop_null().to_pylist()
    return (
        pc.equal(pc.utf8_lower(text), "true").cast(pa.int8()).cast(pa.float64())
        if set(words) <= {"true", "false"}
        else None
    )


def unlike(text: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    """The cells that a pattern does not match, missing ones left out."""
    return pc.filter(text, pc.invert(pc.match_substring_regex(text, pattern))).drop_null()


def inputs(name: str, column: pa.ChunkedArray, spelled: bool, findings: Findings) -> pa.ChunkedArray | None:
    """An input column: float64, or text where it is categorical (in CSV: where some cell is not a number)."""
    if not pa.types.is_string(column.type):
        return numbers(name, "input", column, spelled, findings)
    if not spelled:
        if column.null_count == len(column):
            findings.problem(
                f"input {name!r} has no value in any of {plural(len(column), 'row')}; is it the right column?"
            )
            return None
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)  # as CSV has it
    text = trimmed(column)
    found = _as_numbers(text)
    if found is not None and text.null_count < len(text):
        return found
    if text.null_count == len(text):
        return numbers(name, "input", column, spelled, findings)
    odd = len(unlike(text, NUMBER))
    if 0 < odd < len(text) - text.null_count:
        findings.notice(
            f"input {name!r} holds numbers and text ({plural(odd, 'cell')} of text, such as "
            f"{listing(pc.unique(unlike(text, NUMBER)).to_pylist(), 2)}); it was read as categories"
        )
    return column
