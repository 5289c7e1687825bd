"""Writing a result as an MLflow model: what it takes and gives, an example, what must be installed."""

import logging
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read once, when MLflow is imported

import mlflow.pyfunc
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

import posterity
from posterity.portfolio.manifest import MANIFEST
from posterity.portfolio.result import Result
from posterity.portfolio.serving import ABSTAINED, ANSWERS, NUMBERS, example, inputs
from posterity.tracking.serving import FOLDER

_CODE = Path(__file__).with_name("portfolio_model.py")
_EXAMPLES = 5
_NOT_SERVED = ("prefect", "fastapi", "cyclopts", "rich")


def save(result: Result, folder: Path) -> Path:
    """Write the model of a result into `folder / FOLDER`, which must not be there yet, and return that.

    It holds the result, the code of this package and no pickle: a process with the requirements installed
    loads it, whether Posterity is installed there or not.
    """
    target = folder / FOLDER
    first = example(result, _EXAMPLES)
    with tempfile.TemporaryDirectory(prefix=".staged-", dir=folder) as scratch, _quiet():
        staged = Path(scratch) / "result"
        _stage(result, staged)
        mlflow.pyfunc.save_model(
            target,
            python_model=str(_CODE),
            artifacts={"result": str(staged)},
            code_paths=[str(Path(posterity.__file__).parent)],
            signature=signature(result),
            input_example=(first, {"interval": 0.9}) if len(first) else None,
            pip_requirements=requirements(),
            metadata={"portfolio": result.name, "run_key": result.manifest.run_key},
        )
    return target


def signature(result: Result) -> ModelSignature:
    """Entity columns as text, the time as stored, inputs as numbers or text; `interval` is a parameter."""
    data = result.config.data
    kinds = {"entity": DataType.string, "text": DataType.string, "number": DataType.double}
    taken: list[Any] = [
        ColSpec(_time(result.intervals["time"]) if kind == "time" else kinds[kind], name)
        for name, kind in inputs(result).items()
    ]
    told: list[Any] = [
        *(c for c in taken if c.name in data.entity),
        *(c for c in taken if c.name not in data.entity),
        ColSpec(DataType.string, "status"),
        *(ColSpec(DataType.double, name, required=False) for name in NUMBERS),
    ]
    if result.config.model.family.classifies:
        told += [ColSpec(DataType.double, name, required=False) for name in ANSWERS]
    if result.config.abstain is not None:
        told.append(ColSpec(DataType.boolean, ABSTAINED, required=False))
    interval = ParamSpec("interval", DataType.double, 0.9)
    return ModelSignature(Schema(taken), Schema(told), ParamSchema([interval]))


def requirements() -> list[str]:
    """What the package needs to predict, at the versions installed here."""
    named = [
        re.split(r"[^\w.-]", line, maxsplit=1)[0]
        for line in requires("posterity") or ()
        if "extra" not in line
    ]
    found = []
    for name in sorted({n.lower() for n in named} - set(_NOT_SERVED)):
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _stage(result: Result, folder: Path) -> None:
    """The files of the manifest alone, without the parts and locks that a run may have left beside them."""
    for name in (*result.manifest.files, MANIFEST):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(result.path / name, target)
        except OSError:  # another file system, or one without links
            shutil.copy2(result.path / name, target)


def _time(times: "pd.Series[Any]") -> DataType:
    if pd.api.types.is_datetime64_any_dtype(times.dtype):
        return DataType.datetime
    return DataType.long if pd.api.types.is_integer_dtype(times.dtype) else DataType.double


@contextmanager
def _quiet() -> Generator[None]:
    """Without MLflow's remarks on whole numbers (which have no missing values here) and on its progress."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*integer column.*")
            # MLflow 3.17 fills an example's index in a way that pandas 4 will read otherwise.
            warnings.filterwarnings("ignore", message="Operation with range is deprecated")
            yield
    finally:
        logger.setLevel(level)
