"""The priors that fits of a run really had: their labels, their files, and draws from them."""

import json
import re
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from posterity.inference.compiled import CompiledModel, Inputs, compiled, inputs_of
from posterity.inference.posterior import Floats
from posterity.models.arrays import arrays
from posterity.portfolio import prior_file, resolved
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan
from posterity.portfolio.prior import Marginal, Prior
from posterity.portfolio.store import Draft
from posterity.portfolio.structure import Structure

DRAWS = 1_000
"""Draws stored of each prior."""

MOST_DRAWN = 50
"""Priors whose draws are stored, those that most entities have; figures show no more."""

MOST_FILES = 1_000
"""Priors with a file. Where each entity has its own, `factors.parquet` says of all what it was."""

DECLARED = "declared"


@dataclass(frozen=True)
class Kept:
    """Priors of an earlier version that are still in use: their files by label, as name and text, draws from
    them, and the population that newcomers still learn from.
    """

    files: Mapping[str, tuple[str, str]]
    draws: pa.Table | None
    population: Mapping[str, Any] | None


@dataclass(frozen=True)
class Taught:
    """What parts say of priors: `used` is the key of each entity's transferred prior, `labels` what tables
    say of it (told apart where two sources have one name), `notes` why an entity has a fallback.
    """

    plan: Plan
    priors: Mapping[str, Prior]
    used: Mapping[str, str]
    labels: Mapping[str, str]
    notes: Mapping[str, str]
    population: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, plan: Plan, parts: Parts, fits: pa.Table | None, kept: Container[str] = ()) -> "Taught":
        """From the rows of all fits, and what the waves left beside the parts. `kept` are labels of priors
        that come from an earlier version.
        """
        found = resolved.load(parts.folder)
        rows = [] if fits is None else fits.select(["entity", "prior", "prior_key"]).to_pylist()
        used = {row["entity"]: row["prior_key"] for row in rows if row["prior_key"]}
        sources = {row["prior_key"]: row["prior"] for row in rows if row["prior_key"]}
        again = {source for source, n in Counter(sources.values()).items() if n > 1 or source in kept}
        labels = {k: f"{source} #{k[:8]}" if source in again else source for k, source in sources.items()}
        file = parts.folder / "population.json"
        population = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
        notes = {**plan.learning.notes, **found.notes}
        return cls(plan, found.priors, used, labels, notes, population)

    def label(self, entity: str) -> str | None:
        """What `prior` says of an entity; None where it was not fitted."""
        if entity in self.plan.panel.reasons:
            return None
        if entity in self.used:
            return self.labels[self.used[entity]]
        joint = self.plan.config.inference.pooling == "joint" or entity in self.plan.learning.pooled
        return self.plan.sources[entity].label if joint else DECLARED

    def parent(self, entity: str) -> str | None:
        """Fit key of the posterior that became the entity's prior, if one did."""
        source, label = self.plan.sources[entity], self.label(entity)
        return source.parent if source.parent and label and label.startswith(source.kind) else None

    @cached_property
    def common(self) -> list[str]:
        """Keys of the priors in use that are known, those of most entities first."""
        counts = Counter(self.used.values())
        return [key for key, _ in counts.most_common() if key in self.priors]

    @property
    def notices(self) -> list[str]:
        """What a person should know of a run's priors beyond its plan."""
        late = {e: note for e, note in self.notes.items() if e not in self.plan.learning.notes}
        found = [f"{entity}: {note}" for entity, note in list(late.items())[:20]]
        if len(late) > len(found):
            found.append(f"{len(late) - len(found):,} more entities have a fallback prior; see lineage.json")
        if len(self.common) > MOST_FILES:
            found.append(f"{len(self.common):,} priors were used; {MOST_FILES:,} of them have a file")
        return found

    def write(self, draft: Draft, kept: Kept | None = None) -> dict[str, str]:
        """Draws of all priors, the population, and a file for each prior: the names of these by label. `kept`
        is what stays of an earlier version.
        """
        model = compiled(self.plan.description)
        rows = self.plan.panel.rows(self.plan.fittable[0])
        numbers = self.plan.description.numbers
        inputs = inputs_of(model, {**arrays(self.plan.description, rows), **numbers})
        declared = model.starts(inputs, self.plan.config.inference.seed, DRAWS)[1:]
        draft.table("prior_draws.parquet", _own_scale(model, declared, inputs))
        population = self.population or (kept and kept.population)
        if population is not None:
            draft.json("population.json", population)
        files, drawn = {}, []
        for label, (name, text) in (kept.files if kept else {}).items():
            files[label] = name
            draft.text(name, text)
        if kept and kept.draws is not None:
            drawn.append(kept.draws)
        for number, key in enumerate(self.common[: max(0, MOST_FILES - len(files))]):
            prior, label = self.priors[key], self.labels[key]
            table = _own_scale(model, _drawn(model, prior, declared), inputs)
            if number < MOST_DRAWN:
                drawn.append(table.add_column(0, "prior", pa.array([label] * DRAWS)))
            marginals = _marginals(prior, model, table)
            about = replace(prior, structure=Structure.of(self.plan.description), marginals=marginals)
            files[label] = f"priors/{_slug(label)}-{key[:8]}.yaml"
            draft.text(files[label], prior_file.dumps(about))
        if drawn:
            draft.table("transferred_draws.parquet", pa.concat_tables(drawn))
        return files


def _own_scale(model: CompiledModel, thetas: Floats, inputs: Inputs) -> pa.Table:
    """Draws (S, D) on the unconstrained scale as a table with a column for each scalar parameter."""
    values = model.parameters(thetas, inputs)
    return pa.table({name: values[:, i] for i, name in enumerate(model.parameter_names)})


def _drawn(model: CompiledModel, prior: Prior, declared: Floats) -> Floats:
    """Draws (S, D) of θ: transferred entries from the prior, the others as declared."""
    thetas = declared.copy()
    at = [model.unconstrained_names.index(entry) for entry in prior.entries]
    thetas[:, at] = prior.mixture.draw(np.random.default_rng(int(prior.key[:8], 16)), len(thetas))
    return thetas


def _marginals(prior: Prior, model: CompiledModel, table: pa.Table) -> dict[str, Marginal]:
    """Moments and quantiles of the parameters that the prior is about, for people."""
    owner = dict(zip(model.unconstrained_names, model.owners, strict=True))
    about = {owner[entry] for entry in prior.entries}
    found = {}
    for name in table.column_names:
        if name.partition("[")[0] in about:
            values = table[name].to_numpy()
            p5, p50, p95 = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
            found[name] = Marginal(float(values.mean()), float(values.std(ddof=1)), p5, p50, p95)
    return found


def _slug(label: str) -> str:
    """A label as a file's name: plain letters, at most 60."""
    return re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")[:60] or "prior"
