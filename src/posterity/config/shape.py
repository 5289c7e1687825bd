"""Pydantic's complaints as findings that teach: what was found, what is allowed, what was probably meant."""

import types
from itertools import islice
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo

from posterity.config.findings import MAX_FINDINGS, Finding, Path
from posterity.config.priors import Errors
from posterity.config.schema import Config
from posterity.config.words import listed, meant, quoted

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping of names",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}
_COMPARED = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_BARE_WORDS = {"no", "off", "n", "No", "NO", "Off", "OFF"}, {"yes", "on", "y", "Yes", "YES", "On", "ON"}


def findings(error: ValidationError, value: dict[str, Any]) -> list[Finding]:
    """One finding per wrong place; the branches of a union that all failed there become one sentence."""
    grouped: dict[Path, list[Any]] = {}
    for detail in error.errors(include_url=False, include_context=True):
        path = _path(detail["loc"], value, detail["type"] == "missing")
        grouped.setdefault(path, []).append(detail)
    return [_finding(path, details, value) for path, details in islice(grouped.items(), MAX_FINDINGS)]


def _path(loc: tuple[int | str, ...], value: Any, missing: bool) -> Path:
    """Pydantic's location without the names of union branches, which are no keys of the file."""
    path: list[int | str] = []
    for number, step in enumerate(loc):
        if step == "kwargs" and isinstance(value, dict) and "kwargs" not in value and "params" in value:
            step = "params"
        if isinstance(value, dict) and (step in value or (missing and number == len(loc) - 1)):
            path.append(step)
            value = value.get(step) if isinstance(step, str) else None
        elif isinstance(value, list) and isinstance(step, int):
            path.append(step)
            value = value[step] if step < len(value) else None
    return tuple(path)


def _finding(path: Path, details: list[Any], value: Any) -> Finding:
    first = details[0]
    found = _at(value, path)
    match first["type"]:
        case "extra_forbidden":
            return Finding(path, _unknown_key(path), at_key=True)
        case "missing":
            return Finding(path, f"is missing{_purpose(path)}", at_key=True)
    allowed = []
    for detail in details:
        if (words := _allowed(detail)) and words not in allowed:
            allowed.append(words)
    if first["type"] == "twice":
        return Finding(path, f"{quoted(found)} found; {first['msg']}")
    if "text" in allowed and len(allowed) > 1:
        allowed.remove("text")
    message = f"{quoted(found)} found; allowed: {', or '.join(allowed)}"
    return Finding(path, message + _hint(found, details))


def _allowed(detail: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind]
    if kind in _COMPARED:
        key, words = _COMPARED[kind]
        return f"a number {'of ' * words.startswith('at')}{words} {context[key]:g}"
    match kind:
        case "literal_error":
            return str(context["expected"]).replace("'", "")
        case "too_short":
            return f"at least {context['min_length']} entry"
        case "too_long":
            return f"at most {context['max_length']} entries"
        case "string_too_short":
            return "text that is not empty"
        case "string_too_long":
            return f"text of at most {context['max_length']} characters"
        case "string_pattern_mismatch" if "h|D|W" in context["pattern"]:
            return "a span such as 4W (h, D, W, M, Q or Y)"
        case "string_pattern_mismatch":
            return "a letter or digit, then letters, digits, spaces, '.', '_' or '-', at most 100"
    return str(detail["msg"])


def _hint(found: Any, details: list[Any]) -> str:
    kinds = {d["type"] for d in details}
    if isinstance(found, str):
        if "bool_type" in kinds:
            for words, meaning in zip(_BARE_WORDS, ("false", "true"), strict=True):
                if found in words:
                    return f"; did you mean {meaning}?"
        literal = [d["ctx"]["expected"] for d in details if d["type"] == "literal_error"]
        if literal:
            return meant(
                found, [w.strip("' ") for text in literal for w in text.replace(" or ", ",").split(",")]
            )
        if kinds & {"int_type", "float_type"}:
            return _number_in_text(found)
    if isinstance(found, float) and found == int(found) and kinds & {"int_type", "int_from_float"}:
        return f"; did you mean {int(found)}?"
    if isinstance(found, int | float) and not isinstance(found, bool):
        upper = [d["ctx"].get("le", d["ctx"].get("lt")) for d in details if d["type"].startswith("less_than")]
        if 1 in upper and 1 < found < 100:
            return f"; did you mean {found / 100:g} (shares are between 0 and 1, not percent)?"
        if {"string_type"} == kinds:
            return f"; quote it if it is a name: '{found}'"
    return ""


def _number_in_text(text: str) -> str:
    trimmed = text.replace("_", "").replace(",", "").strip()
    percent = trimmed.endswith("%")
    try:
        number = float(trimmed.rstrip("%"))
    except ValueError:
        return ""
    return f"; did you mean {number / 100 if percent else number:g}, without quotes or signs?"


def _unknown_key(path: Path) -> str:
    known = _keys(path[:-1])
    word = str(path[-1])
    message = f"not a known key; allowed: {listed(known)}" + meant(word, known)
    if "did you mean" not in message and (home := _home(word)):
        message += f"; {word!r} belongs into {home!r}"
    return message


def _home(word: str) -> str | None:
    for name, field in Config.model_fields.items():
        for section in _models(field.annotation):
            if word in _fields(section):
                return name
    return None


def _purpose(path: Path) -> str:
    for section in _models_at(path[:-1]):
        if (field := _fields(section).get(str(path[-1]))) is not None:
            inner = next((model.__doc__ for model in _models(field.annotation)), None)
            if purpose := field.description or inner:
                sentence = purpose.splitlines()[0].rstrip(".")
                return f" ({sentence[0].lower()}{sentence[1:]})"
    return "; it has no default"


def _keys(path: Path) -> list[str]:
    return [name for section in _models_at(path) for name in _fields(section)]


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section by the word that stands for them in the file."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _models_at(path: Path) -> list[type[BaseModel]]:
    """The sections that may stand at a path."""
    annotations: list[Any] = [Config]
    for step in path:
        annotations = [inner for a in annotations for inner in _inside(a, step)]
    return [model for a in annotations for model in _models(a)]


def _inside(annotation: Any, step: str | int) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _inside(get_args(annotation)[0], step)
    if origin in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _inside(member, step)]
    if origin in (dict, tuple):
        return [get_args(annotation)[-1 if origin is dict else 0]]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if step == "errors":
            return [Errors]  # the finished value is what stands inside it
        field = _fields(annotation).get(str(step))
        return [field.annotation] if field is not None else []
    return []


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    if isinstance(annotation, Tag):
        return []
    return [model for member in get_args(annotation) for model in _models(member)]


def _at(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
