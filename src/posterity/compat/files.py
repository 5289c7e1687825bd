"""The old wrapper's files: its YAML, read safely, and its traces as netCDF."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posterity.config.findings import dotted
from posterity.config.positions import read
from posterity.config.values import MAX_BYTES
from posterity.errors import ConfigError, Problem, ResultError

if TYPE_CHECKING:
    import xarray as xr

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_config_from_file(file_path: str | Path) -> dict[str, Any]:
    """The dictionary in a YAML file: text, numbers, lists and mappings, and nothing that can run code.

    `dist` stays the name of a distribution. What the keys mean is checked by `PymcModel`. Raises ConfigError
    with every place that is no plain YAML.
    """
    name = os.fspath(file_path)
    try:
        with open(file_path, "rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            [Problem(f"cannot be read ({error.strerror}); give the path of a YAML file", name)]
        ) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem("is not UTF-8; save the file as UTF-8", name)]) from None
    document = read(text)
    problems = []
    for finding in document.findings:
        line, column = finding.position or document.position(finding.path, finding.at_key) or (1, 1)
        said = f"{dotted(finding.path)}: {finding.message}" if finding.path else finding.message
        problems.append(Problem(said, f"{name}:{line}:{column}:"))
    if not problems and not isinstance(document.value, dict):
        problems.append(
            Problem("holds no mapping; write independent_vars, variable_params and sample_params", name)
        )
    if problems:
        raise ConfigError(problems)
    return dict(document.value)


def save(trace: "xr.DataTree", file_path: str | Path) -> None:
    """Write a trace as netCDF, whole or not at all."""
    target = Path(file_path)
    handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        trace.to_netcdf(draft, engine="h5netcdf")
        os.replace(draft, target)
    except BaseException:
        Path(draft).unlink()
        raise


def load(file_path: str | Path) -> "xr.DataTree":
    """A trace from netCDF, in memory. ResultError where the file is none; nothing is ever unpickled."""
    import xarray as xr

    try:
        with open(file_path, "rb") as file:
            start = file.read(len(_HDF5))
    except OSError as error:
        raise ResultError(
            f"{file_path}: cannot be read ({error.strerror}); give the path that save_trace wrote to"
        ) from None
    if start != _HDF5:
        raise ResultError(
            f"{file_path}: is no netCDF file; what the old wrapper pickled is not read, because a pickle can "
            "run code: load it where it was made and write `trace.to_netcdf(path)`, or fit again"
        )
    try:
        with xr.open_datatree(file_path, engine="h5netcdf") as tree:
            return tree.load()
    except (OSError, ValueError, KeyError) as error:
        raise ResultError(f"{file_path}: cannot be read as netCDF ({error}); save the trace again") from None
