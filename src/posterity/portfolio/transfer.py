"""Posteriors into priors: from a population, another entity, another result or a file.

All end as the same value, a Gaussian mixture on the unconstrained scale, discounted, capped and made robust.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config.transfer import Transfer
from posterity.errors import PosterityError
from posterity.inference.compiled import compiled
from posterity.inference.mixture import Mixture
from posterity.lineage import digest
from posterity.portfolio import prior_file
from posterity.portfolio.agreement import informative
from posterity.portfolio.learning import label, population, population_setting
from posterity.portfolio.matching import matched_entries, overlap
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan
from posterity.portfolio.population import Population, Setting
from posterity.portfolio.predict import described
from posterity.portfolio.prior import Prior, Provenance, Window
from posterity.portfolio.resolved import Resolved
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.rules import Source
from posterity.portfolio.runners import Runner
from posterity.portfolio.structure import Structure
from posterity.portfolio.terms import Carried, Terms
from posterity.portfolio.waves import Wave

type Floats = NDArray[np.float64]

DRAWS = 4_000
"""Draws of a population's predictive distribution that a mixture is fitted to."""


def resolve(plan: Plan, wave: Wave, parts: Parts, runner: Runner) -> Resolved:
    """The prior of every entity of a wave, made of what the waves before it left in parts.

    A source that turns out to have nothing to give is replaced by its rule's fallback, with a note.
    """
    maker = Maker(plan, parts, runner)
    priors: dict[str, Prior] = {}
    of: dict[str, str] = {}
    notes: dict[str, str] = {}
    for entity in wave.entities:
        prior, note = maker.prior_of(entity)
        of[entity] = "" if prior is None else prior.key
        if prior is not None:
            priors[prior.key] = prior
        if note:
            notes[entity] = note
    return Resolved(priors, of, notes)


@dataclass
class Maker:
    """Makes priors for the entities of a plan, each distinct one once."""

    plan: Plan
    parts: Parts
    runner: Runner | None = None
    _made: dict[Any, Prior | str] = field(default_factory=dict)
    _results: dict[str, Result] = field(default_factory=dict)
    _files: dict[str, Prior] = field(default_factory=dict)

    def prior_of(self, entity: str) -> tuple[Prior | None, str]:
        """The prior of an entity (None: the declared one), and a note where it is a fallback."""
        source = self.plan.sources[entity]
        prior = self._prior(entity, source)
        if not isinstance(prior, str):
            return prior, ""
        group = self.plan.learning.groups.get(entity, ())
        other = source.instead(group, population=source.kind != "population")
        fallback = self._prior(entity, other)
        if isinstance(fallback, str):
            return None, f"declared instead of {source.label}: {prior}; {fallback}"
        return fallback, f"{other.label} instead of {source.label}: {prior}"

    def _prior(self, entity: str, source: Source) -> Prior | str | None:
        """The prior from a source, None for the declared one, or a sentence that says why there is none."""
        if source.kind == "declared":
            return None
        own = entity if source.kind in ("portfolio", "previous") else None
        if source.kind == "file":
            own = entity if entity in self._file(source).provenance.entities else None
        pooled = entity in self.plan.learning.pooled
        key = (source.kind, source.name, source.group, source.discount, source.match, own, pooled)
        if key not in self._made:
            try:
                self._made[key] = getattr(self, f"_from_{source.kind}")(entity, source)
            except PosterityError as error:
                self._made[key] = str(error)
        return self._made[key]

    def _from_population(self, entity: str, source: Source) -> Prior:
        found, how = self._population, self._setting
        group = label(source.group) or None
        rng = np.random.default_rng(np.random.SeedSequence([how.seed, *digest_words(group or "")]))
        mixture = Mixture.fitted(found.predictive(group, DRAWS, rng), most=4, seed=how.seed)
        partial = np.array(found.partial, dtype=np.int64)
        notes = list(found.notes)
        if group and found.groups and group not in found.groups:
            notes.append(f"nobody established is in {group}: its mean comes from the spread between groups")
        provenance = Provenance(
            run=self.plan.run_key,
            config=self._config,
            taught_by=found.taught_by,
            entities=found.teachers,
            windows=self._windows(found.teachers),
            notes=tuple(notes),
        )
        pooled = entity in self.plan.learning.pooled
        carried = Carried(
            f"own {source.label}" if pooled else source.label,
            found.entries,
            mixture,
            found.information,
            found.declared_sd,
            provenance,
            partial,
            found.doubts(self.plan.config.gates.khat),
        )
        # What an entity has taught itself is neither capped nor mistrusted.
        terms = replace(self._terms, robust=0.0, most=None) if pooled else self._terms
        return terms.of_population(carried)

    def _from_entity(self, entity: str, source: Source) -> Prior:
        row = self._factors.get(self.plan.keys[source.name])
        if row is None or row["factor_mean"] is None:
            raise PosterityError(f"its parent {source.name!r} has no posterior")
        names = row["factor_names"]
        kept = [i for i, name in enumerate(names) if name in self._transferable]
        counts = dict(zip(self.plan.panel.entities, self.plan.panel.counts.tolist(), strict=True))
        provenance = Provenance(
            run=self.plan.run_key,
            config=self._config,
            taught_by=(self.plan.keys[source.name],),
            entities=(source.name,),
            windows=self._windows((source.name,)),
        )
        mean, covariance = _moments(row["factor_mean"], row["factor_covariance"])
        entries = tuple(names[i] for i in kept)
        mixture = Mixture.gaussian(mean[kept], covariance[np.ix_(kept, kept)])
        rows = counts[source.name] + (row["prior_rows"] or 0)
        return self._of_one(source, entries, mixture, rows, provenance)

    def _from_portfolio(self, entity: str, source: Source) -> Prior:
        result = self._results.setdefault(source.name, open_result(source.name))
        found = result.entity_table("factors.parquet", entity).to_pylist()
        if not found or found[0]["mean"] is None:
            raise PosterityError(f"{source.name} has no posterior of it")
        about = result.entity_row(entity)
        independent = self._transfer.pool.independent
        match = [(own, theirs) for own, theirs in source.match if own not in independent]
        pairs = matched_entries(self.plan.description, described(result), match, source.name)
        names = list(found[0]["names"])
        kept = [names.index(theirs) for theirs in pairs.values()]
        mean, covariance = _moments(found[0]["mean"], found[0]["covariance"])
        first, last = (None if about[k] is None else str(about[k]) for k in ("first_time", "last_time"))
        provenance = Provenance(
            run=result.manifest.run_key,
            config=digest(dict(result.settings)),
            taught_by=(about["fit_key"],),
            entities=(entity,),
            windows=(Window(first, last, about["n_rows"]),),
        )
        mixture = Mixture.gaussian(mean[kept], covariance[np.ix_(kept, kept)])
        rows = about["n_rows"] + (about.get("prior_rows") or 0)
        return self._of_one(source, tuple(pairs), mixture, rows, provenance)

    _from_previous = _from_portfolio

    def _from_file(self, entity: str, source: Source) -> Prior:
        found = self._file(source)
        (here,) = self._windows((entity,))
        if own := overlap(entity, here, found.provenance):
            raise PosterityError(own)
        kept = [i for i, entry in enumerate(found.entries) if entry in self._transferable]
        if len(kept) < len(found.entries):
            entries, mixture = tuple(found.entries[i] for i in kept), found.mixture.select(kept)
            found = replace(found, entries=entries, mixture=mixture, marginals={})
        untouched = source.discount == 1 and self._transfer.max_prior_rows is None
        if untouched and (found.vague > 0 or self._transfer.robust == 0):
            return replace(found, source=source.label, model=self.plan.description.key)
        mixture = informative(found) or found.mixture
        # A file that does not say is taken for one row.
        rows = 1.0 if found.rows is None else found.rows
        return self._of_one(source, found.entries, mixture, rows, found.provenance)

    def _file(self, source: Source) -> Prior:
        if source.name not in self._files:
            self._files[source.name] = prior_file.load(source.name)
        return self._files[source.name]

    @cached_property
    def _terms(self) -> Terms:
        structure = Structure.of(self.plan.description)
        return Terms(self._transfer.robust, self._transfer.max_prior_rows, structure)

    def _of_one(
        self, source: Source, entries: tuple[str, ...], mixture: Mixture, rows: float, provenance: Provenance
    ) -> Prior:
        """A prior from one posterior, or from a file, that `rows` rows made."""
        information = np.linalg.inv(mixture.covariance) / max(rows, 1)
        sd = self._declared_sd(entries)
        carried = Carried(source.label, entries, mixture, information, sd, provenance)
        return self._terms.of_one(carried, rows, source.discount)

    @cached_property
    def _transfer(self) -> Transfer:
        return self.plan.config.transfer or Transfer()

    @cached_property
    def _config(self) -> str:
        return digest(self.plan.config.model_dump(mode="json"))

    @cached_property
    def _setting(self) -> Setting:
        return population_setting(self.plan)

    @cached_property
    def _population(self) -> Population:
        return population(self.plan, self.parts, self.runner)

    @cached_property
    def _transferable(self) -> tuple[str, ...]:
        """Labels of θ's entries that are not independent."""
        model = compiled(self.plan.description)
        independent = self._transfer.pool.independent
        pairs = zip(model.unconstrained_names, model.owners, strict=True)
        return tuple(name for name, owner in pairs if owner not in independent)

    def _declared_sd(self, entries: Sequence[str]) -> Floats:
        names = self._setting.model.unconstrained_names
        return self._setting.sd[[names.index(entry) for entry in entries]]

    @cached_property
    def _factors(self) -> dict[str, dict[str, Any]]:
        """What parts hold of every posterior so far, by fit key."""
        columns = ["fit_key", "prior_rows", "factor_names", "factor_mean", "factor_covariance"]
        return {row["fit_key"]: row for t in self.parts.tables() for row in t.select(columns).to_pylist()}

    def _windows(self, entities: Sequence[str]) -> tuple[Window, ...]:
        panel = self.plan.panel
        place = {entity: i for i, entity in enumerate(panel.entities)}
        firsts = None if panel.first_times is None else panel.first_times.to_pylist()
        lasts = None if panel.last_times is None else panel.last_times.to_pylist()

        def text(times: list[Any] | None, entity: str) -> str | None:
            return None if times is None else str(times[place[entity]])

        return tuple(Window(text(firsts, e), text(lasts, e), int(panel.counts[place[e]])) for e in entities)


def digest_words(text: str) -> list[int]:
    """A text as numbers for a seed."""
    found = digest(text)
    return [int(found[i : i + 8], 16) for i in range(0, 32, 8)]


def _moments(mean: Sequence[float], covariance: Sequence[float]) -> tuple[Floats, Floats]:
    centre = np.asarray(mean, dtype=np.float64)
    return centre, np.asarray(covariance, dtype=np.float64).reshape(len(centre), len(centre))
