"""YAML text to plain values, with the line and column of every key and value.

Configurations are untrusted text, so the reader works on PyYAML's *events* with its own stack: nothing
recurses, no tag constructs anything, and the limits act while reading. Scalars follow YAML 1.2's core schema,
because in 1.1 `no` is false, `1e-3` is text and `1:30` is ninety.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

from posterity.config.findings import Finding, Path, Position
from posterity.config.values import MAX_BYTES, MAX_DEPTH, scalar, unusable
from posterity.config.words import quoted


@dataclass(slots=True)
class Document:
    """What a text holds: plain values, where each stands, and what is wrong with the text itself."""

    value: Any = None
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def position(self, path: Path, at_key: bool = False) -> Position | None:
        """Line and column (from 1) of `path`, or of its nearest ancestor that is in the text."""
        first, second = (self.keys, self.values) if at_key else (self.values, self.keys)
        found = first.get(path) or second.get(path)
        while found is None and path:
            path = path[:-1]
            found = self.keys.get(path) or self.values.get(path)
        return found


class _StopError(Exception):
    """Reading cannot go on; the findings say why."""


def read(text: str) -> Document:
    """Plain values (dict, list, str, int, float, bool, None) and positions of a YAML text.

    Never raises: whatever is wrong is in the document's findings, and `value` is then as much as could be
    read."""
    document = Document()
    if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
        document.findings.append(
            Finding(
                (), f"the text has {size:,} bytes; a configuration has at most {MAX_BYTES:,}", position=(1, 1)
            )
        )
        return document
    try:
        _Reader(document).run(yaml.parse(text, Loader=yaml.SafeLoader))
    except _StopError:
        pass
    except yaml.YAMLError as error:
        document.findings.append(_syntax(error))
    except (
        ValueError,
        RecursionError,
        OverflowError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        # PyYAML lets these out for some broken texts (a bad %YAML directive, an escape beyond Unicode).
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        document.findings.append(Finding((), f"this is not valid YAML ({reason})", position=(1, 1)))
    return document


def _syntax(error: yaml.YAMLError) -> Finding:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = " ".join(filter(None, (getattr(error, "problem", None), getattr(error, "context", None))))
    reason = " ".join((reason or str(error)).split())[:200]
    if isinstance(error, yaml.reader.ReaderError):
        return Finding((), f"the character {error.character!r} may not stand in YAML text", position=(1, 1))
    hint = ""
    if "\\t" in reason:
        hint = "; indent with spaces, YAML does not take tabs"
    elif "mapping values are not allowed" in reason:
        hint = "; a colon inside a value needs quotes, and keys of one section the same indentation"
    elif "expected <block end>" in reason:
        hint = "; look at the indentation: keys of one section start in the same column"
    elif "expected ',' or" in reason:
        hint = "; a bracket or brace is not closed"
    position = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    return Finding((), f"this is not valid YAML: {reason}{hint}", position=position)


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been read."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    skip: bool = False


class _Reader:
    """Folds events into plain values with an explicit stack."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.stack: list[_Open] = []
        self.documents = 0

    def run(self, events: Any) -> None:
        for event in events:
            mark = event.start_mark
            here = (mark.line + 1, mark.column + 1)
            match event:
                case yaml.DocumentStartEvent():
                    self.documents += 1
                    if self.documents > 1:
                        self.stop(
                            "a second document starts here ('---'); one file holds one configuration", here
                        )
                case yaml.AliasEvent():
                    self.stop(
                        f"'*{event.anchor}' repeats another part; write the values out, aliases are not read",
                        here,
                    )
                case yaml.ScalarEvent():
                    self.refuse_extras(event, here)
                    self.scalar(event, here)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self.refuse_extras(event, here)
                    self.open({} if isinstance(event, yaml.MappingStartEvent) else [], here)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self.stack.pop()

    def stop(self, message: str, here: Position) -> None:
        self.document.findings.append(Finding(self.path(), message, position=here))
        raise _StopError

    def refuse_extras(self, event: Any, here: Position) -> None:
        if event.anchor is not None:
            self.stop(
                f"'&{event.anchor}' names a part for repetition; anchors and aliases are not read", here
            )
        if event.tag is not None and event.tag != "!":
            self.stop(
                f"the tag {quoted(event.tag, 40)} is not read; write plain text, numbers, lists and mappings",
                here,
            )

    def path(self) -> Path:
        if not self.stack:
            return ()
        top = self.stack[-1]
        if isinstance(top.value, list):
            return (*top.path, len(top.value))
        return (*top.path, top.key) if top.key is not None else top.path

    def scalar(self, event: Any, here: Position) -> None:
        if reason := unusable(event.value):
            self.stop(reason, here)
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self.key(top, event.value, here)
            return
        value: Any = event.value
        if event.implicit[0] and event.style is None:
            try:
                value = scalar(event.value)
            except ValueError as error:
                self.document.findings.append(Finding(self.path(), str(error), position=here))
                value = None
        self.place(value, here)

    def key(self, top: _Open, key: str, here: Position) -> None:
        assert isinstance(top.value, dict)
        top.key = key
        path = (*top.path, key)
        top.skip = key in top.value
        if top.skip:
            line, column = self.document.keys[path]
            message = f"this key is already at line {line}, column {column}; keep one of the two"
            self.document.findings.append(Finding(path, message, position=here))
        else:
            self.document.keys[path] = here

    def open(self, value: dict[str, Any] | list[Any], here: Position) -> None:
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self.stop("a list or mapping cannot be a key here; keys are words", here)
        if len(self.stack) >= MAX_DEPTH:
            self.stop(f"nested deeper than {MAX_DEPTH} levels", here)
        path = self.path()
        self.place(value, here)
        self.stack.append(_Open(value, path))

    def place(self, value: Any, here: Position) -> None:
        path = self.path()
        if not self.stack:
            self.document.value = value
        else:
            top = self.stack[-1]
            if isinstance(top.value, list):
                top.value.append(value)
            else:
                assert top.key is not None
                if not top.skip:
                    top.value[top.key] = value
                top.key = None
                if top.skip:
                    return
        self.document.values.setdefault(path, here)
