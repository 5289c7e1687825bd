"""From a source (file, folder, glob, URL, table, frame) to one raw Arrow table of the needed columns."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds

from posterity.errors import PanelError
from posterity.panel.delimited import read_delimited
from posterity.panel.findings import Findings, nearest, plural
from posterity.panel.frames import from_frame
from posterity.panel.roles import present_columns

PARQUET = (".parquet", ".parq", ".pq")
DELIMITED = (".csv", ".tsv")
COMPRESSED = (".gz", ".bz2", ".zst")
_ALLOWED = f"known are {', '.join(PARQUET + DELIMITED)}, the latter two also with {', '.join(COMPRESSED)}"
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Raw:
    """Columns as stored; `spelled` are those that are text whatever they mean (CSV, folder names)."""

    table: pa.Table
    spelled: frozenset[str]


def load(source: Any, needed: tuple[str, ...], entity: tuple[str, ...], findings: Findings) -> Raw:
    """The needed columns of a source. An unreadable source raises; missing columns are problems."""
    if isinstance(source, (str, os.PathLike)):
        return _load_files(os.fspath(source), needed, findings)
    if isinstance(source, pa.Table):
        table = source
    elif hasattr(source, "iloc"):
        table = from_frame(source, needed, entity, findings)
    elif hasattr(source, "__arrow_c_stream__"):
        table = pa.table(source)
    else:
        allowed = "a path, a URL, a pyarrow Table or a pandas DataFrame"
        raise PanelError([f"cannot read a panel from a {type(source).__name__}; give {allowed}"])
    present = present_columns(table.column_names, needed, None, findings)
    return Raw(table.select(present), frozenset())


def _load_files(source: str, needed: tuple[str, ...], findings: Findings) -> Raw:
    filesystem, root = _filesystem(source)
    files = _files(filesystem, root, source, findings)
    loaded = [(name, _load_file(filesystem, name, root, needed, findings)) for name in files]
    findings.stop()
    if len({_kind(name) for name in files}) > 1:
        findings.problem("the source mixes Parquet and CSV files; keep one format per panel", source)
        findings.stop()
    return Raw(_concatenated(loaded, findings), frozenset().union(*(raw.spelled for _, raw in loaded)))


def _filesystem(source: str) -> tuple[Any, str]:
    if not source.strip():
        raise PanelError(["the source is empty; give a file, a folder, a glob or a URL"])
    if "://" not in source and "::" not in source:
        source = str(Path(source).expanduser())
    try:
        filesystem, root = fsspec.core.url_to_fs(source)
    except (ValueError, ImportError) as error:
        raise PanelError([f"cannot open {source!r}: {error}"]) from error
    return filesystem, str(root)


def _files(filesystem: Any, root: str, source: str, findings: Findings) -> list[str]:
    """Data files behind a source, sorted by name; hidden ones (`_`, `.`) are left out, as Spark does."""
    try:
        if filesystem.isfile(root):
            _kind(root)
            return [root]
        if filesystem.isdir(root):
            below = [str(f) for f in filesystem.find(root)]
            seen = [f for f in below if not _hidden(f[len(root.rstrip("/")) :])]
            files = [f for f in seen if _suffix(f) is not None]
            others = len(seen) - len(files)
            if not files:
                what = f"it holds {plural(others, 'other file')}" if others else "it is empty"
                raise PanelError([f"no data file in the folder {source!r}: {what}; {_ALLOWED}"])
            if others:
                findings.notice(
                    f"{plural(others, 'file')} in the folder passed over: neither Parquet nor CSV by name"
                )
            return sorted(files)
        if any(c in root for c in "*?["):
            files = sorted(str(f) for f in filesystem.glob(root) if filesystem.isfile(f))
            if not files:
                raise PanelError([f"no file matches {source!r}; check the folder and the pattern"])
            for name in files:
                _kind(name)
            return files
    except (OSError, NotImplementedError) as error:
        raise PanelError([f"cannot look at {source!r}: {error}"]) from error
    raise PanelError([_missing(filesystem, root, source)])


def _missing(filesystem: Any, root: str, source: str) -> str:
    folder = str(PurePosixPath(root).parent)
    try:
        siblings = [PurePosixPath(str(f)).name for f in filesystem.ls(folder, detail=False)]
    except (OSError, ValueError):
        return f"there is no file {source!r}, nor its folder; check the path"
    return (
        f"there is no file or folder {source!r}; check the path{nearest(PurePosixPath(root).name, siblings)}"
    )


def _hidden(path: str) -> bool:
    return any(part.startswith(("_", ".")) and "=" not in part for part in PurePosixPath(path).parts)


def _suffix(name: str) -> str | None:
    lowered = name.casefold()
    for ending in COMPRESSED:
        if lowered.endswith(ending):
            return next((s for s in DELIMITED if lowered.removesuffix(ending).endswith(s)), None)
    return next((s for s in PARQUET + DELIMITED if lowered.endswith(s)), None)


def _kind(name: str) -> str:
    suffix = _suffix(name)
    if suffix is None:
        raise PanelError([f"{PurePosixPath(name).name!r} is of no known format; {_ALLOWED}"])
    return "parquet" if suffix in PARQUET else "delimited"


def _load_file(filesystem: Any, name: str, root: str, needed: tuple[str, ...], findings: Findings) -> Raw:
    partition = {key: value for key, value in _partition(name, root).items() if key in needed}
    if _kind(name) == "parquet":
        table = _read_parquet(filesystem, name, needed, partition, findings)
        spelled = frozenset(partition) - frozenset(table.column_names)
    else:
        table = read_delimited(filesystem, name, needed, tuple(partition), findings)
        spelled = frozenset(table.column_names) | frozenset(partition)
    for key, value in partition.items():
        if key not in table.column_names:
            table = table.append_column(key, pa.array([value] * table.num_rows, pa.string()))
    return Raw(table, spelled)


def _partition(name: str, root: str) -> dict[str, str | None]:
    """Values in folder names such as `region=north/part-0.parquet`, below the source's root."""
    below = name[len(root) :] if name.startswith(root) else name
    pairs = (part.split("=", 1) for part in PurePosixPath(below).parts[:-1] if "=" in part)
    return {unquote(k): None if v == _NULL_PARTITION else unquote(v) for k, v in pairs}


def _read_parquet(
    filesystem: Any, name: str, needed: tuple[str, ...], partition: dict[str, str | None], findings: Findings
) -> pa.Table:
    short = PurePosixPath(name).name
    try:
        dataset = ds.dataset(name, filesystem=filesystem, format="parquet")
        present = present_columns(dataset.schema.names, needed, short, findings, also=tuple(partition))
        return dataset.to_table(columns=present)
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0]
        findings.problem(f"cannot be read as Parquet: {said}; write the file again or leave it out", short)
        return pa.table({})


def _concatenated(loaded: list[tuple[str, Raw]], findings: Findings) -> pa.Table:
    tables = [_plain(raw.table) for _, raw in loaded]
    if len(tables) == 1:
        return tables[0]
    for column in tables[0].column_names:
        types: dict[str, str] = {}
        for (name, _), table in zip(loaded, tables, strict=True):
            if not pa.types.is_null(table.schema.field(column).type):
                types.setdefault(str(table.schema.field(column).type), PurePosixPath(name).name)
        try:
            pa.concat_tables([t.select([column]).slice(0, 0) for t in tables], promote_options="permissive")
        except pa.ArrowException:
            found = ", ".join(f"{kind} in {name}" for kind, name in types.items())
            findings.problem(
                f"column {column!r} has types that do not go together: {found}; write it with one type"
            )
    findings.stop()
    return pa.concat_tables(tables, promote_options="permissive")


def _plain(table: pa.Table) -> pa.Table:
    """Dictionaries decoded and every text type the same, so that files of one panel go together."""
    for i, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(i, column.name, table.column(i).cast(column.type.value_type))
    for i, column in enumerate(table.schema):
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            table = table.set_column(i, column.name, table.column(i).cast(pa.string()))
    return table
