"""Sources that lie outside this run, opened when it is planned: prior files and results of other runs.

What cannot be opened is an error of the configuration. What can, but not for some entity (it is not there, it
failed, its rows overlap), is a fallback with a note.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from posterity.errors import ConfigError, PosterityError
from posterity.models import Description
from posterity.panel import Panel
from posterity.portfolio.manifest import RUNS
from posterity.portfolio.newest import finished_in, located
from posterity.portfolio.result import open_result
from posterity.portfolio.rules import Source

MOST_RESULTS = 50
"""Earlier results that `from: previous` looks through, newest first."""


@dataclass(frozen=True)
class Opened:
    """What a plan needs of another result: its run key, parameters, and the row of every entity."""

    folder: Path
    run_key: str
    parameters: frozenset[str]
    rows: Mapping[str, Mapping[str, Any]]

    @classmethod
    def at(cls, folder: Path) -> "Opened":
        """Read a result. Raises ResultError for a folder that is none."""
        result = open_result(folder)
        model = result.config.model
        table = result.table("entities.parquet").select(["entity", "status", "last_time", "fit_key"])
        rows = {row["entity"]: row for row in table.to_pylist()}
        return cls(folder, result.manifest.run_key, frozenset({*model.parameters, *model.nested}), rows)


@dataclass(frozen=True)
class Origins:
    """Opens each file and result once. `find` gives the source with what is known of it, or why not."""

    description: Description
    name: str
    first_times: Mapping[str, Any]
    _opened: dict[str, Opened] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)
    _located: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, description: Description, name: str, panel: Panel) -> "Origins":
        """For the entities of a panel."""
        times = [None] * len(panel.entities) if panel.first_times is None else panel.first_times.to_pylist()
        return cls(description, name, dict(zip(panel.entities, times, strict=True)))

    def find(self, entity: str, source: Source) -> Source | str:
        """The source of an entity, opened; a sentence where it has nothing for this entity.

        Raises ConfigError where nobody could use it.
        """
        match source.kind:
            case "file":
                return replace(source, digest=self._file(source))
            case "portfolio":
                return self._portfolio(entity, source)
            case "previous":
                return self._previous(entity, source)
        return source

    def _portfolio(self, entity: str, source: Source) -> Source | str:
        """The result that a folder or the name of a portfolio means now."""
        if source.name not in self._located:
            try:
                self._located[source.name] = str(located(source.name))
            except PosterityError as error:
                raise ConfigError([f"{where(source)}: {error}"]) from None
        folder = self._located[source.name]
        found = self._posterior(entity, source, self._open(source, folder))
        return found if isinstance(found, str) else replace(found, name=folder)

    def _previous(self, entity: str, source: Source) -> Source | str:
        """The newest earlier result whose rows all lie before the entity's."""
        reasons = []
        for folder in [source.name] if source.name else self._earlier:
            result = self._open(source, folder)
            found = self._posterior(entity, source, result)
            if isinstance(found, Source):
                overlap = self._overlap(entity, result)
                if overlap is None:
                    return replace(found, name=folder)
                found = overlap
            reasons.append(found)
        return reasons[0] if reasons else f"there is no earlier result in {RUNS / self.name}"

    def _posterior(self, entity: str, source: Source, result: Opened) -> Source | str:
        if entity not in result.rows:
            return f"{result.folder} does not have it"
        if result.rows[entity]["status"] == "failed":
            return f"it failed in {result.folder}"
        match = matched(source, self.description, result)
        return replace(source, digest=result.run_key, parent=result.rows[entity]["fit_key"], match=match)

    def _overlap(self, entity: str, result: Opened) -> str | None:
        """Why rows may be inside the posterior of a result already; None where none is."""
        last, first = result.rows[entity]["last_time"], self.first_times[entity]
        if last is None or first is None:
            return "without a time column nobody can tell which rows that posterior has seen"
        try:
            overlap = bool(first <= last)
        except TypeError:
            return f"its times cannot be compared with those in {result.folder}"
        return (
            f"rows up to {last} are in {result.folder} already, and here they begin at {first}"
            if overlap
            else None
        )

    @cached_property
    def _earlier(self) -> list[str]:
        """Finished results of this portfolio under `runs/`, newest first."""
        return [str(folder) for folder in finished_in(RUNS / self.name)[:MOST_RESULTS]]

    def _open(self, source: Source, folder: str) -> Opened:
        if folder not in self._opened:
            try:
                self._opened[folder] = Opened.at(Path(folder))
            except PosterityError as error:
                raise ConfigError([f"{where(source)}: {error}"]) from None
        return self._opened[folder]

    def _file(self, source: Source) -> str:
        """SHA-256 of a prior file that this model can use. Raises ConfigError for any other."""
        if source.name not in self._digests:
            from posterity.portfolio import prior_file

            path = Path(source.name)
            try:
                prior_file.check_fits(prior_file.load(path), self.description)
                content = path.read_bytes()
            except (PosterityError, OSError) as error:
                raise ConfigError([f"{where(source)}: {error}"]) from None
            self._digests[source.name] = hashlib.sha256(content).hexdigest()
        return self._digests[source.name]


def matched(source: Source, description: Description, theirs: Opened) -> tuple[tuple[str, str], ...]:
    """Own parameter and theirs, in declared order: those of the rule, else those of equal names.

    Raises ConfigError where a name is not theirs, or no name is both.
    """
    given = dict(source.match) or {name: name for name in description.priors if name in theirs.parameters}
    if given and not (unknown := sorted(set(given.values()) - theirs.parameters)):
        return tuple((name, given[name]) for name in description.priors if name in given)
    what = f"has no parameter {unknown[0]!r}" if given else "has no parameter of the same name as one here"
    advice = f"it has {', '.join(sorted(theirs.parameters))}; write `match: {{own: theirs}}` beside `from`"
    raise ConfigError([f"{where(source)}: {theirs.folder} {what}; {advice}"])


def where(source: Source) -> str:
    """The place of a source in the configuration."""
    return f"transfer.rules[{source.rule}].from{'.' + source.kind if source.name else ''}"
