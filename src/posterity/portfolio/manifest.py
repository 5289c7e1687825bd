"""The manifest of a result: what it says, how it is checked, and how a file is checked against it.

A manifest may come from anywhere, so it is read as untrusted text: bounded in size, plain JSON, and no name
in it leads out of the result's folder.
"""

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from posterity.errors import ResultError

FORMAT = 1
MANIFEST = "manifest.json"
RUNS = Path("runs")
"""Where results lie unless somebody says otherwise, a folder for each portfolio."""

_LARGEST_MANIFEST = 16 * 2**20
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}"
_NAME = re.compile(rf"{_PART}(/{_PART}){{0,2}}")
_FIELDS = ("run_key", "name", "created", "engine", "counts", "seconds")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest says about one file: its size in bytes and its SHA-256 in hex."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`. `extra` holds fields that this version does not name."""

    run_key: str
    name: str
    created: str
    engine: int | str | None
    counts: Mapping[str, int]
    seconds: float | None
    files: Mapping[str, Entry]
    format: int = FORMAT
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As written to the file."""
        return {
            "format": self.format,
            "run_key": self.run_key,
            "name": self.name,
            "created": self.created,
            "engine": self.engine,
            "counts": dict(self.counts),
            "seconds": self.seconds,
            **self.extra,
            "files": {k: {"bytes": v.bytes, "sha256": v.sha256} for k, v in sorted(self.files.items())},
        }


def read_manifest(path: str | Path) -> Manifest:
    """The manifest of a published result, its shape and names checked (the files are not).

    Raises ResultError when there is no result, when it is incomplete, newer than this version, or not to be
    trusted.
    """
    folder = Path(path)
    file = folder / MANIFEST
    if not folder.is_dir():
        raise ResultError(
            f"{folder}: there is no such folder; give the folder that a fit left (it holds {MANIFEST})"
        )
    if not file.exists():
        raise ResultError(
            f"{folder}: no {MANIFEST}, so this is no complete result; run the fit again, it resumes"
        )
    _regular(file)
    if file.stat().st_size > _LARGEST_MANIFEST:
        raise _bad_manifest(
            file, f"is {file.stat().st_size:,} bytes long; at most {_LARGEST_MANIFEST:,} are read"
        )
    try:
        raw = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _bad_manifest(file, f"is not JSON ({error})") from None
    return _checked(raw, file)


def published(path: str | Path) -> bool:
    """Whether `path` holds a published result."""
    return (Path(path) / MANIFEST).exists()


def verify(path: str | Path) -> Manifest:
    """Read every file and compare size and digest with the manifest; every problem is in one ResultError."""
    folder, manifest, problems = Path(path), read_manifest(path), []
    for name in manifest.files:
        try:
            check_file(folder, name, manifest)
        except ResultError as error:
            problems.append(str(error))
    if problems:
        raise ResultError("\n".join(problems))
    return manifest


def check_file(folder: Path, name: str, manifest: Manifest) -> Path:
    """The path of one file after its size and digest were compared with the manifest, else ResultError."""
    entry = manifest.files.get(name)
    if entry is None:
        listed = ", ".join(sorted(manifest.files))
        raise ResultError(f"{folder}: this result has no {name}; it has {listed}")
    file = folder / name
    remedy = "restore it from a copy or run the fit again into a new folder"
    if not file.exists():
        raise ResultError(f"{file}: is missing though the manifest lists it; {remedy}")
    _regular(file)
    if (size := file.stat().st_size) != entry.bytes:
        raise ResultError(
            f"{file}: has {size:,} bytes, the manifest says {entry.bytes:,}; it is damaged: {remedy}"
        )
    if _digest(file) != entry.sha256:
        raise ResultError(
            f"{file}: its SHA-256 is not the one in the manifest; it is damaged or was changed: {remedy}"
        )
    return file


def check_name(name: str) -> None:
    """Raise ResultError unless `name` can be a file of a result: relative, plain characters, no way out
    of the folder.
    """
    if not _NAME.fullmatch(name) or name.startswith("parts/") or name == MANIFEST:
        raise ResultError(
            f"{name!r} cannot be a file of a result: allowed are letters, digits, '.', '_' and '-',"
            f" not first a dot, in at most two folders; {MANIFEST} and parts/ are taken."
            " Entity names do not belong in file names"
        )


def describe(fields: Mapping[str, Any], files: Mapping[str, Entry]) -> Manifest:
    """A manifest from the fields that a writer gives and the files that the store wrote."""
    if lacking := [k for k in ("run_key", "name", "counts") if k not in fields]:
        raise ResultError(
            f"the manifest needs {', '.join(lacking)}; got {', '.join(sorted(fields)) or 'nothing'}"
        )
    if taken := {"files", "format"} & set(fields):
        raise ResultError(
            f"the store itself writes {' and '.join(sorted(taken))} into the manifest; leave it out"
        )
    return Manifest(
        run_key=str(fields["run_key"]),
        name=str(fields["name"]),
        created=str(fields.get("created") or datetime.now(UTC).isoformat(timespec="seconds")),
        engine=fields.get("engine"),
        counts=dict(fields["counts"]),
        seconds=fields.get("seconds"),
        files=dict(files),
        extra={k: v for k, v in fields.items() if k not in _FIELDS},
    )


def _checked(raw: Any, file: Path) -> Manifest:
    if not isinstance(raw, dict) or not isinstance(raw.get("format"), int):
        raise _bad_manifest(file, "is not the manifest of a result (no format number)")
    if raw["format"] > FORMAT:
        raise _bad_manifest(
            file, f"has format {raw['format']}; this version reads up to {FORMAT}: upgrade posterity"
        )
    files, counts = raw.get("files"), raw.get("counts")
    if not isinstance(files, dict) or not isinstance(counts, dict):
        raise _bad_manifest(file, "lists no files or no counts")
    for name, entry in files.items():
        try:
            check_name(name)
        except ResultError as error:
            raise _bad_manifest(file, f"is not to be trusted: {error}") from None
        whole = (
            isinstance(entry, dict)
            and type(entry.get("bytes")) is int
            and isinstance(entry.get("sha256"), str)
        )
        if not whole:
            raise _bad_manifest(file, f"gives no size and digest for {name}")
    if not all(type(v) is int for v in counts.values()):
        raise _bad_manifest(file, "has counts that are no whole numbers")
    return Manifest(
        run_key=str(raw.get("run_key")),
        name=str(raw.get("name")),
        created=str(raw.get("created")),
        engine=raw.get("engine"),
        counts=counts,
        seconds=raw.get("seconds"),
        files={k: Entry(v["bytes"], v["sha256"]) for k, v in files.items()},
        format=raw["format"],
        extra={k: v for k, v in raw.items() if k not in (*_FIELDS, "format", "files")},
    )


def already_published(folder: Path) -> ResultError:
    """The error of whoever would change a published result."""
    return ResultError(
        f"{folder}: already published and never changed again;"
        " write to a new folder, or open this one to read it"
    )


def entry(file: Path) -> Entry:
    """Size and digest of a file that was just written."""
    return Entry(file.stat().st_size, _digest(file))


def to_json(value: object, name: str) -> str:
    """Readable JSON; ResultError for what JSON cannot hold (NaN, infinity, foreign types)."""
    try:
        return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (ValueError, TypeError) as error:
        raise ResultError(
            f"{name} cannot be written as JSON: {error}; give plain finite values, None for missing"
        ) from None


def _digest(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _regular(file: Path) -> None:
    # A pipe or a device in place of a file would hang the reader.
    if not stat.S_ISREG(file.stat().st_mode):
        raise ResultError(
            f"{file}: is not a regular file; a result holds nothing else, take it from a copy you trust"
        )


def _bad_manifest(file: Path, what: str) -> ResultError:
    return ResultError(f"{file}: {what}; restore it from a copy or run the fit again into a new folder")
