"""Writing and checking a result folder.

A `Draft` collects files in a private staging folder inside the result's folder; `publish` moves them into
place and then creates `manifest.json`, the one moment at which the result begins to exist. Every file is
written under a temporary name, synced and renamed, and its folder synced, so that a crash at any point
leaves either no manifest (incomplete: run again) or a complete result. The manifest is created only if
absent, by a hard link; staging and moving into place happen under an advisory lock on the folder, which the
kernel releases when its holder dies. So of two writers one loses, and what the winner published is
untouched.

Nothing here reads anything that can run code: files are Parquet, JSON and text.
"""

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from posterity.errors import ResultError
from posterity.portfolio.manifest import (
    MANIFEST,
    Entry,
    Manifest,
    already_published,
    check_name,
    describe,
    entry,
    published,
    read_manifest,
    to_json,
    verify,
)

__all__ = [
    "MANIFEST",
    "ROW_GROUP",
    "Draft",
    "Manifest",
    "atomic",
    "published",
    "read_manifest",
    "verify",
    "writing",
]

ROW_GROUP = 65_536
"""Rows in a Parquet row group: small enough that one entity's draws are read without their neighbours'."""

_LOCK_SECONDS = 60.0
_STAGING = ".draft-"
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Draft:
    """A result that is being written; use `writing(path)`. Names are relative, with at most two folders
    (`priors/a.yaml`).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _make_folder(self.path)
        self._entries: dict[str, Entry] = {}
        self._closed = False
        with _locked(self.path):
            if (self.path / MANIFEST).exists():
                raise already_published(self.path)
            self._staging = self.path / f"{_STAGING}{secrets.token_hex(6)}"
            self._staging.mkdir()
            # Held as long as this draft lives, so that a later writer can tell an abandoned staging folder
            # from a live one.
            self._claim = os.open(self._staging, os.O_RDONLY)
            fcntl.flock(self._claim, fcntl.LOCK_EX)

    def table(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file in row groups of at most `ROW_GROUP` rows."""
        with self.stream(name, table.schema) as write:
            write(table)

    @contextmanager
    def stream(self, name: str, schema: pa.Schema) -> Generator[Callable[[pa.Table], None]]:
        """Write a Parquet file piece by piece: the context gives a function that takes the next
        `pa.Table`.
        """
        options = {"compression": "zstd", "use_dictionary": _texts(schema)}
        with self._file(name) as file, pq.ParquetWriter(file, schema, **options) as writer:
            buffer = _Buffer(writer)
            yield buffer.add
            buffer.flush()

    def json(self, name: str, value: object) -> None:
        """Write a JSON file. NaN and infinities are refused, as JSON has none."""
        self.text(name, to_json(value, name))

    def text(self, name: str, text: str) -> None:
        """Write a UTF-8 text file."""
        with self._file(name) as file:
            file.write(text.encode())

    def publish(self, fields: Mapping[str, Any] | None = None, /, **more: Any) -> Path:
        """Move everything into place and create the manifest; returns the folder.

        Fields: `run_key`, `name`, `engine`, `counts`, `seconds`, `created` (default: now) and whatever else
        is JSON. Raises ResultError when the folder was published meanwhile; nothing of the published result
        is touched then.
        """
        manifest = describe({**(fields or {}), **more}, self._entries)
        text = to_json(manifest.to_dict(), MANIFEST)
        try:
            with _locked(self.path):
                if (self.path / MANIFEST).exists():
                    raise already_published(self.path)
                self._into_place()
                _create(self.path / MANIFEST, text.encode(), self._staging)
                _sweep(self.path, keep=self._staging)
        finally:
            self.close()
        return self.path

    def close(self) -> None:
        """Drop what was not published. Closing twice does nothing."""
        if not self._closed:
            self._closed = True
            shutil.rmtree(self._staging, ignore_errors=True)
            os.close(self._claim)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _file(self, name: str) -> Generator[BinaryIO]:
        if self._closed:
            raise ResultError(f"{self.path}: this draft is closed; open a new one with writing(path)")
        check_name(name)
        if name in self._entries:
            raise ResultError(f"{self.path}: {name} was already written in this draft; write each file once")
        target = self._staging / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic(target) as file:
            yield file
        self._entries[name] = entry(target)

    def _into_place(self) -> None:
        folders = {self.path}
        for name in self._entries:
            target = self.path / name
            _make_folder(target.parent)
            os.replace(self._staging / name, target)
            folders.add(target.parent)
        for folder in folders:
            _sync_folder(folder)


def writing(path: str | Path) -> Draft:
    """A draft of the result folder `path`, for a `with` block; left without `publish` it leaves nothing
    behind.

    Raises ResultError when `path` holds a published result, which is never changed.
    """
    return Draft(path)


@contextmanager
def atomic(path: Path) -> Generator[BinaryIO]:
    """A binary file that appears at `path` whole or not at all: temporary name, fsync, rename, fsync of
    the folder.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class _Buffer:
    """Gathers small tables into whole row groups."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer, self._waiting, self._rows = writer, list[pa.Table](), 0

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= ROW_GROUP:
            whole = pa.concat_tables(self._waiting)
            full = self._rows - self._rows % ROW_GROUP
            self._writer.write_table(whole.slice(0, full), row_group_size=ROW_GROUP)
            self._waiting, self._rows = [whole.slice(full)], self._rows - full

    def flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROW_GROUP)


def _texts(schema: pa.Schema) -> list[str]:
    """Columns worth a dictionary; random floats are not."""
    return [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]


def _create(target: Path, content: bytes, staging: Path) -> None:
    """Create `target` whole, unless it exists: ResultError then."""
    temporary = staging / target.name
    with open(temporary, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise already_published(target.parent) from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # This file system has no hard links. The caller holds the folder's lock and saw no manifest: a
        # rename is as good.
        os.rename(temporary, target)
    _sync_folder(target.parent)


def _sweep(folder: Path, keep: Path) -> None:
    """Remove staging folders that killed writers left; a live one is still locked by its draft."""
    for old in folder.glob(f"{_STAGING}*"):
        if old == keep:
            continue
        claim = os.open(old, os.O_RDONLY)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(old, ignore_errors=True)
        finally:
            os.close(claim)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Hold the advisory lock of a folder; the kernel frees it when the holder dies, so it never goes
    stale.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        patience = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > patience:
                    raise ResultError(
                        f"{folder}: another process has been publishing here for {_LOCK_SECONDS:.0f} s;"
                        " wait for it or end it, then run again"
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _make_folder(path: Path) -> None:
    """Make a folder and its parents, each new name synced."""
    if path.is_dir():
        return
    if path.exists():
        raise ResultError(f"{path}: is a file; give a folder for the result")
    _make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
