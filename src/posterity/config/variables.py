"""Environment variables in `data.source`: one configuration for panels that lie elsewhere on every machine.

`source: ${POSTERITY_VACCINATION}/panel.parquet`. Only names that begin with `POSTERITY_` are read: a
configuration is untrusted text, and a source such as `https://example.org/${AWS_SECRET_ACCESS_KEY}` would
carry a secret away. A `$` without braces is an ordinary character.
"""

import os
import re
from collections.abc import Iterator, Mapping

from posterity.config.words import quoted
from posterity.errors import ConfigError

PREFIX = "POSTERITY_"
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_ALLOWED = re.compile(rf"{PREFIX}[A-Z0-9_]+")


def refused(text: str) -> Iterator[str]:
    """A sentence for every `${...}` that no configuration may use."""
    for name in _VARIABLE.findall(text):
        if not _ALLOWED.fullmatch(name):
            yield (
                f"{quoted('${' + name + '}')} found; allowed: variables whose names begin with {PREFIX}, "
                f"in capitals, such as ${{{PREFIX}PANEL}}"
            )


def resolved(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text with the values of its variables.

    Raises ConfigError for variables that may not be used, are not set, or are empty.
    """
    problems = [f"data.source: {sentence}" for sentence in refused(text)]
    names = dict.fromkeys(n for n in _VARIABLE.findall(text) if _ALLOWED.fullmatch(n))
    problems += [
        f"data.source is {quoted(text)}, but {name} is not set; set it to where the panel is, or give the "
        "panel with --data"
        for name in names
        if not environment.get(name)
    ]
    if problems:
        raise ConfigError(problems)
    return _VARIABLE.sub(lambda found: environment[found[1]], text)
