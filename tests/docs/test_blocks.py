"""Every block of README and docs: Python is executed, commands are run, configurations are loaded."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from posterity.config import from_dict, loads

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
SLOW = {"promotion.md", "tracking.md"}  # make an MLflow database

PRIOR = {"dist": "Beta", "kwargs": {"alpha": 2, "beta": 2}}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(p, id=str(p.relative_to(CHECKOUT)), marks=[pytest.mark.slow] if p.name in SLOW else [])
        for p in PAGES
    ],
)
def test_every_block_works(page: Path, desk: Path) -> None:
    for example in examples(page):
        example.evaluate()


def test_blocks_are_found() -> None:
    languages = {e.parsed_language for p in PAGES for e in examples(p)}
    assert {"python", "sh", "yaml"} <= languages


@pytest.mark.parametrize("line", ["rm -rf runs", "posterity fitt configs/adoption.yaml", "make runn"])
def test_a_command_that_does_not_exist_is_found(line: str, desk: Path) -> None:
    with pytest.raises(AssertionError):
        run(line)


class Block(Example):
    """An example that knows its language."""

    parsed_language: str


def examples(page: Path) -> Iterator[Any]:
    """Blocks of a page in order, each with `parsed_language`."""
    parsers: dict[str, Callable[..., Any]] = {
        "python": PythonCodeBlockParser(),
        "sh": CodeBlockParser(language="sh", evaluator=shell),
        "yaml": CodeBlockParser(language="yaml", evaluator=configuration),
    }
    found = []
    for language, parser in parsers.items():
        document = Sybil(parsers=[parser]).parse(page)
        for example in document.examples():
            example.parsed_language = language
            found.append(example)
    # One namespace a page, and blocks in the order of the page, whatever their language.
    shared: dict[str, Any] = {}
    for example in found:
        example.namespace = shared
    return iter(sorted(found, key=lambda e: e.start))


def shell(example: Example) -> None:
    """Run the lines of a block."""
    for line in str(example.parsed).replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            run(line.partition("  #")[0].strip())


def run(line: str) -> None:
    """`posterity` commands are run in this process; of `make` and the flow it is checked that they exist."""
    from posterity.cli.app import app

    words = shlex.split(line)
    while len(words) > 1 and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    match words:
        case ["posterity", *arguments]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("COLUMNS", "100")
                try:
                    code = app(
                        arguments, exit_on_error=False, print_error=False, result_action="return_value"
                    )
                except Exception as error:
                    raise AssertionError(f"{line}: {error}") from error
            assert not code, line
        case ["make", *arguments]:
            makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
            for target in (a for a in arguments if "=" not in a):
                assert re.search(rf"^{target}:.*## ", makefile, flags=re.MULTILINE), line
        case ["python", script, *_] | [script] if script.endswith(".py"):
            assert (CHECKOUT / script).is_file(), line
        case ["prefect" | "mlflow" as program, *_]:
            # These need a server that stays; tests/flows and tests/tracking have one and do the same.
            assert Path(sys.executable).with_name(program).exists(), line
        case ["." | "export", *_]:
            pass
        case _:
            raise AssertionError(f"{line}: no block may show a command that is not tried")


def configuration(example: Example) -> None:
    """Load a configuration, which is also saved as NAME.yaml, or a fragment put into one that is whole."""
    text = str(example.parsed)
    value = yaml.safe_load(text)
    if not isinstance(value, dict):
        raise AssertionError(f"{example.path}:{example.line}: no mapping")
    if {"name", "data", "model"} <= value.keys():
        loads(text)
        Path(f"{value['name']}.yaml").write_text(text, encoding="utf-8")
        return
    from_dict(whole(value))


def whole(part: dict[str, Any]) -> dict[str, Any]:
    """A fragment in a configuration: of the model and its data, or sections that replace a shipped one's."""
    if part.keys() & {"transfer", "inference", "gates", "promotion"}:
        shipped = yaml.safe_load(Path("configs/launches.yaml").read_text(encoding="utf-8"))
        return {**shipped, "transfer": None, **part}
    return completed(part)


def completed(part: dict[str, Any]) -> dict[str, Any]:
    """A fragment with what it takes to make it a configuration; the column `trials` is no parameter."""
    if "history" in part and "likelihood" not in part:  # what goes by the name of a parameter is one
        starts = {m["start"] for m in part["history"].values() if isinstance(m.get("start"), str)}
        part = {
            "parameters": dict.fromkeys(sorted(starts | {"level"}), PRIOR),
            "history": part["history"],
            "quantities": {"sum": {"expression": " + ".join(["level", *part["history"]])}},
            "likelihood": {"dist": "Normal", "kwargs": {"mu": "sum", "sigma": 1}},
        }
    if "history" in part:  # nothing is missing but the data
        share = {"source": "x.csv", "entity": ["product"], "time": "week", "target": "share"}
        return {"name": "whole", "data": share, "model": part}
    priors = part.get("parameters", {})
    quantities = part.get("quantities", {})
    terms = [f"{name}[{prior['dims']}]" if "dims" in prior else name for name, prior in priors.items()]
    if quantities:
        priors = dict.fromkeys(("ceiling", "rate", "delay", "effect"), PRIOR)
        terms = list(quantities)
    likelihood = part.get("likelihood") or {"dist": "Normal", "kwargs": {"mu": "sum", "sigma": 1}}
    if "likelihood" in part:
        names = {v for v in likelihood["kwargs"].values() if isinstance(v, str)} - {"trials"}
        priors = dict.fromkeys(sorted(names), PRIOR)
    elif not terms:
        priors, terms = {"level": PRIOR}, ["level"]
    summed = {"sum": {"expression": " + ".join(terms)}} if terms else {}
    data = {"source": "x.csv", "entity": ["product", "region"], "time": "week", "target": "y"}
    model = {"parameters": priors, "quantities": {**quantities, **summed}, "likelihood": likelihood}
    return {"name": "whole", "data": part.get("data", data), "model": model}
