"""The tables of keys in `configuration.md`, made from the JSON Schema: `python docs/made/keys.py`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from insert import DOCS, rewrite

from posterity.config import json_schema

LONG = 20
"""Enumerations with more values than this are named, not listed."""
SECTIONS = (
    *(
        "Data",
        "Scaling",
        "Model",
        "Memory",
        "Quantity",
        "Design",
        "DesignTerm",
        "PriorSpec",
        "Likelihood",
        "Limits",
    ),
    *("Errors", "Ar1", "Build"),
    *("Inference", "Gates", "Transfer", "Established", "Pool", "Rule", "Origin"),
    *("Refit", "Abstain", "Actionable", "Promotion", "Tracking", "Execution"),
)
TITLES = {
    "Data": "data",
    "Scaling": "data.scale",
    "Model": "model",
    "Memory": "model.history",
    "Quantity": "a quantity",
    "Design": "a quantity's design",
    "DesignTerm": "a term of a design",
    "PriorSpec": "a prior",
    "Likelihood": "model.likelihood",
    "Limits": "model.likelihood.censored and truncated",
    "Build": "model.build",
    "Errors": "model.likelihood.errors",
    "Ar1": "model.likelihood.errors.ar1",
    "Established": "transfer.established",
    "Pool": "transfer.pool",
    "Rule": "transfer.rules",
    "Origin": "transfer.rules.from",
}
NAMED = {
    "PriorSpec": "a prior",
    "Quantity": "a quantity",
    "Scaling": "a mapping",
    "Memory": "a memory",
    "Errors": "a mapping",
    "Ar1": "a mapping",
    "Origin": "a mapping",
    "Rule": "rules",
}


def tables() -> str:
    """A table for the top level and one for each section."""
    schema = json_schema()
    sections = schema["$defs"]
    if missing := set(sections) - set(SECTIONS):
        raise ValueError(f"sections without a place in the reference: {', '.join(sorted(missing))}")
    parts = ["### The top level", *table(schema, sections)]
    for name in SECTIONS:
        parts += ["", f"### {TITLES.get(name, name.lower())}", "", prose(sections[name]["description"])]
        parts += table(sections[name], sections)
    return "\n".join(parts)


def table(section: Mapping[str, Any], sections: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one section's table."""
    yield ""
    yield "| key | takes | default | meaning |"
    yield "|---|---|---|---|"
    for key, about in section["properties"].items():
        required = key in section.get("required", ())
        default = "required" if required else code(about.get("default"))
        if isinstance(about.get("default"), dict):
            default = "see below"
        inner = sections.get(about.get("$ref", "").rsplit("/", 1)[-1], {})
        meaning = prose(about.get("description") or inner.get("description", ""))
        yield f"| `{key}` | {takes(about)} | {default} | {meaning} |"


def takes(about: Mapping[str, Any]) -> str:
    """What may be written, in words."""
    return cell(" or ".join(dict.fromkeys(words(about))))


def words(about: Mapping[str, Any]) -> Iterator[str]:
    """The alternatives, one after another."""
    if "$ref" in about:
        name = about["$ref"].rsplit("/", 1)[-1]
        yield NAMED.get(name, "a section")
    elif "anyOf" in about:
        for one in about["anyOf"]:
            yield from words(one)
    elif "enum" in about:
        values = about["enum"]
        yield f"one of {len(values)} names" if len(values) > LONG else ", ".join(code(v) for v in values)
    elif "const" in about:
        yield code(about["const"])
    elif about.get("type") == "null":
        yield "nothing"
    elif about.get("type") == "array":
        yield f"a list of {' or '.join(words(about.get('items', {})))}".replace("a number", "numbers")
    elif about.get("type") == "object":
        inner = about.get("additionalProperties")
        yield f"names, each with {' or '.join(dict.fromkeys(words(inner)))}" if inner else "a section"
    elif about.get("pattern") and about.get("type") == "string":
        yield f"text that matches `{about['pattern']}`"
    else:
        yield kind(about) + bounds(about)


def kind(about: Mapping[str, Any]) -> str:
    """A plain type in words."""
    return {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "`true` or `false`",
    }.get(about.get("type", ""), "a value")


def bounds(about: Mapping[str, Any]) -> str:
    """Its limits, if it has any."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {about[key]:,}" for key, sign in signs.items() if key in about]
    return f" {', '.join(found)}" if found else ""


def code(value: Any) -> str:
    """A value as it is written in YAML."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "none" if text in ("null", "[]") else f"`{text}`"


def prose(text: str) -> str:
    """A docstring on one line, for a table's cell."""
    return cell(" ".join(text.split()))


def cell(text: str) -> str:
    """Without what would end the cell."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    rewrite(DOCS / "configuration.md", "keys", tables())
