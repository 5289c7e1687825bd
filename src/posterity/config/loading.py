"""Files, texts and dictionaries to a `Config`, with every problem in one error; and back to YAML."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from posterity.config import families, legacy, names, shape, smooth_names
from posterity.config.findings import MAX_FINDINGS, Finding, dotted
from posterity.config.positions import Document, read
from posterity.config.schema import Config
from posterity.config.values import MAX_BYTES, plain
from posterity.config.words import quoted
from posterity.errors import ConfigError, Problem


def load(path: str | FilePath) -> Config:
    """The configuration in a YAML file.

    Raises `ConfigError` with every problem of the file, each with line, column and dotted path."""
    name = str(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            [Problem(f"cannot be read ({reason}); give the path of a YAML file", f"{name}:")]
        ) from None
    if len(content) > MAX_BYTES:
        raise ConfigError(
            [Problem(f"more than {MAX_BYTES:,} bytes; a configuration is far smaller", f"{name}:")]
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte {content[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        raise ConfigError([Problem(message, f"{name}:{line}:")]) from None
    return loads(text, name)


def loads(text: str, name: str = "<text>") -> Config:
    """The configuration in a YAML text; `name` stands for the file in messages. Raises `ConfigError`."""
    return _build(read(text), name)


def from_dict(values: Mapping[str, Any]) -> Config:
    """The configuration in a dictionary, which is not changed. Raises `ConfigError`."""
    value, findings = plain(values)
    return _build(Document(value=value, findings=findings), None)


def _build(document: Document, name: str | None) -> Config:
    value = document.value
    found = list(document.findings)
    config: Config | None = None
    if not isinstance(value, dict):
        if not found:
            found.append(
                Finding((), f"{quoted(value)} found; a configuration is a mapping with name, data, model")
            )
        raise ConfigError(_problems(found, document, name))
    if legacy.recognised(value):
        value, more = legacy.translated(value)
        found += more
    try:
        config = Config.model_validate(value)
    except ValidationError as error:
        found += shape.findings(error, value)
    found += _across(value, found)
    if found or config is None:
        raise ConfigError(_problems(found, document, name))
    return config


def _across(value: dict[str, Any], found: list[Finding]) -> list[Finding]:
    """What spans sections, without repeating what has been said of the same place."""
    wrong = {finding.path for finding in found}
    value = smooth_names.spelt_out(value)
    model = value.get("model")
    more = list(islice(families.findings(model), MAX_FINDINGS)) if isinstance(model, dict) else []
    more += names.findings(value, wrong | {finding.path for finding in more})
    return [finding for finding in more if finding.path not in wrong]


def _problems(found: list[Finding], document: Document, name: str | None) -> list[Problem]:
    located = []
    for number, finding in enumerate(found):
        path = legacy.origin(finding.path, document)
        position = finding.position or document.position(path, finding.at_key)
        message = f"{dotted(path)}: {finding.message}" if path else finding.message
        where = None if name is None else ":".join(map(str, (name, *(position or (1, 1)))))
        located.append((position or (0, 0), number, Problem(message, where)))
    return [problem for _, _, problem in sorted(located, key=lambda item: item[:2])]
