"""CSV and TSV files, every column as text: what it means is decided later, over the whole panel.

Reading as text keeps "007" apart from "7", lets files of one folder differ in what a type guesser would make
of them, and lets a bad cell be counted and shown instead of stopping the parser.
"""

import csv
import io
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv

from posterity.panel.findings import Findings
from posterity.panel.roles import present_columns

_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def read_delimited(
    filesystem: Any, name: str, needed: tuple[str, ...], elsewhere: tuple[str, ...], findings: Findings
) -> pa.Table:
    """The needed columns of a file as text, empty cells as null.

    UTF-8 and marked UTF-16 or UTF-32 are read as they are, other bytes as Windows-1252 with a notice. The
    separator is a comma (a tab in `.tsv`) unless only another one yields the needed columns, with a notice.
    Needed columns that are neither here nor `elsewhere` (in folder names) are problems, and so is a file that
    cannot be read.
    """
    short = PurePosixPath(name).name
    try:
        content = filesystem.cat_file(name)
        for suffix, codec in _CODECS.items():
            if name.casefold().endswith(suffix):
                content = pa.CompressedInputStream(pa.BufferReader(content), codec).read()
    except (pa.ArrowException, OSError, EOFError) as error:
        findings.problem(
            f"cannot be read: {str(error).splitlines()[0]}; write the file again or leave it out", short
        )
        return pa.table({})
    content = _as_utf8(content, short, findings)
    if not content.strip():
        findings.problem("the file is empty; write a header line and rows, or leave it out", short)
        return pa.table({})
    delimiter, header = _layout(content, "\t" if ".tsv" in name.casefold()[-8:] else ",", needed)
    if delimiter not in ",\t":
        findings.notice(f"{short}: columns are separated by {delimiter!r}")
    present = present_columns(header, needed, short, findings, also=elsewhere)
    return _parse(content, delimiter, present, len(header), short, findings) if present else pa.table({})


def _as_utf8(content: bytes, short: str, findings: Findings) -> bytes:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace").encode()
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        findings.notice(
            f"{short}: not UTF-8 (byte {error.start:,}), read as Windows-1252; check names with accents"
        )
        return content.decode("cp1252", errors="replace").encode()
    return content


def _layout(content: bytes, expected: str, needed: tuple[str, ...]) -> tuple[str, list[str]]:
    """The separator that yields most needed columns (the expected one in doubt), and the header under it."""
    head = io.StringIO(content[:1_000_000].decode(errors="replace"), newline="")
    headers: dict[str, list[str]] = {}
    for delimiter in dict.fromkeys((expected, ",", ";", "\t", "|")):
        head.seek(0)
        try:
            headers[delimiter] = next((row for row in csv.reader(head, delimiter=delimiter) if row), [])
        except csv.Error:
            headers[delimiter] = []
    best = max(headers, key=lambda d: len(set(needed) & set(headers[d])))
    return best, headers[best]


def _parse(
    content: bytes, delimiter: str, present: list[str], width: int, short: str, findings: Findings
) -> pa.Table:
    try:
        return pa.csv.read_csv(
            pa.BufferReader(content),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in present},
                include_columns=present,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowException as error:
        said = str(error).splitlines()[0]
        findings.problem(f"cannot be read as CSV: {said}; every line needs {width} cells", short)
        return pa.table({})
