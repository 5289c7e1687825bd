"""The example result as if its entities had learned from one another: some pooled, some from a population by
region, one from another entity, one from a file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from posterity.inference.mixture import Mixture
from posterity.portfolio import prior_file
from posterity.portfolio.population import Population
from posterity.portfolio.prior import Prior, Provenance
from posterity.portfolio.result import Result, open_result
from posterity.portfolio.store import writing
from posterity.portfolio.tables import FACTORS
from tests.portfolio.example import FAILED, ONE_ROW, PARAMETERS, build, entity_names, hash_of

ENTRIES = ("lambda_val_log__", "intercept", "sigma_log__")
FILES = "priors/population-north.yaml", "priors/entity.yaml", "priors/file.yaml"
POPULATION, CHILD, FROM_FILE = "alpha / north", "alpha / south", ONE_ROW
PARENT = next(name for name in entity_names() if name.startswith("emoji"))
POOLED = tuple(name for name in entity_names() if name.startswith(("../x", "beta", "cost", "a/b")))
LABELS = {POPULATION: "population: north", CHILD: f"entity: {PARENT}", FROM_FILE: "file: priors/x.yaml"}
TEACHERS = tuple(n for n in entity_names() if n not in (*LABELS, FAILED))
TRANSFER = "transfer: {pool: {within: [region], shrink: true, shared: [sigma]}}\n"


def build_learned(folder: Path, **options: Any) -> Result:
    """Publish the example with transferred priors; options are those of `build`."""
    plain = open_result(build(folder / "plain", **options))
    population = _population()
    priors = {label: _prior(label, entity, plain) for entity, label in LABELS.items()}
    priors |= {f"population: {group}": _prior(f"population: {group}", "", plain) for group in ("south",)}
    rows = [_row(row, priors) for row in plain.table("entities.parquet").to_pylist()]
    schema = plain.table("entities.parquet").schema.append(pa.field("vague_weight", pa.float64()))
    with writing(folder / "result") as draft:
        draft.table("entities.parquet", pa.Table.from_pylist(rows, schema))
        for name in ("parameters", "intervals", "draws", "prior_draws"):
            draft.table(f"{name}.parquet", plain.table(f"{name}.parquet"))
        draft.table("factors.parquet", _factors(plain))
        draft.text("config.yaml", plain.text("config.yaml") + TRANSFER)
        draft.json("population.json", {"key": "0" * 64, **population.to_dict()})
        draft.json("lineage.json", _lineage(plain, rows, priors))
        files = dict(zip(LABELS.values(), FILES, strict=True))
        for label, name in files.items():
            draft.text(name, prior_file.dumps(priors[label]))
        draft.publish(
            run_key="0" * 64, name="example", created="2026-11-20T12:00:00+00:00", engine=1,
            counts=dict(plain.counts), seconds=1.25, priors=files,
        )  # fmt: skip
    return open_result(folder / "result")


def _population() -> Population:
    """Two partial entries in two regions, `sigma` shared; forty draws."""
    rng, size = np.random.default_rng(0), 40
    mean = np.array([-2.5, 0.05]) + 0.05 * rng.normal(size=(size, 2))
    lower = np.zeros((size, 2, 2))
    lower[:, 0, 0] = 0.3 * np.exp(0.1 * rng.normal(size=size))
    lower[:, 1, 1] = 0.05 * np.exp(0.1 * rng.normal(size=size))
    groups = mean[:, None] + np.array([[0.1, 0.0], [-0.1, 0.0]])
    return Population(
        entries=ENTRIES,
        partial=(0, 1),
        shared=(2,),
        groups=("north", "south"),
        mean=mean,
        group_means=groups,
        lower=lower,
        between=np.full((size, 2), 0.1),
        shared_values=-4 + 0.02 * rng.normal(size=(size, 1)),
        information=np.eye(3),
        declared_mean=np.zeros(3),
        declared_sd=np.ones(3),
        covariance="full",
        khat=0.1,
        sweeps=5,
        converged=True,
        taught_by=tuple(str(i) * 64 for i in range(len(TEACHERS))),
        teachers=TEACHERS,
        rows=480,
    )


def _prior(label: str, entity: str, plain: Result) -> Prior:
    centre = np.array([-2.5, 0.05, -4.0])
    inner = Mixture.gaussian(centre, np.diag([0.09, 0.0025, 0.04]))
    mixture = inner.joined(0.1, centre, np.diag([1.0, 0.2, 1.0]))
    taught_by = plain.entity_row(PARENT)["fit_key"] if entity == CHILD else "f" * 64
    return Prior(label, ENTRIES, mixture, 0.1, 2.7, "m" * 64, provenance=Provenance(taught_by=(taught_by,)))


def _row(row: dict[str, Any], priors: Mapping[str, Prior]) -> dict[str, Any]:
    entity, pooled = row["entity"], row["entity"] in POOLED
    label = LABELS.get(entity) or (f"own population: {row['region']}" if pooled else "declared")
    row |= {"role": "new" if entity in LABELS else "established", "prior": label, "vague_weight": None}
    if label in priors:
        row |= {"prior_rows": 2.7}
    if entity in LABELS:
        share = (hash_of(entity) % 97) / 97
        row |= {"conflict_p": 0.004 if entity == CHILD else share, "vague_weight": 0.05}
    if entity == CHILD:
        row |= {"parent_fit_key": f"{abs(hash_of(PARENT)):016x}" * 4}
    return row


def _factors(plain: Result) -> pa.Table:
    rows = []
    names = [*ENTRIES, *(f"{n}[{i}]" for n, size in (("z", 2), ("theta", 3)) for i in range(size))]
    for entity in entity_names():
        table = plain.entity_table("draws.parquet", entity)
        row: dict[str, Any] = {"entity": entity, "names": names}
        if table.num_rows:
            draws = np.stack([table[p].to_numpy() for p in PARAMETERS], axis=1)
            draws[:, [0, 2]] = np.log(draws[:, [0, 2]])
            row |= {
                "mean": draws.mean(axis=0).tolist(),
                "covariance": np.cov(draws, rowvar=False).ravel().tolist(),
            }
        rows.append(row)
    return pa.Table.from_pylist(rows, pa.schema([("entity", pa.string()), *FACTORS]))


def _lineage(plain: Result, rows: list[dict[str, Any]], priors: Mapping[str, Prior]) -> dict[str, Any]:
    found = json.loads(plain.text("lineage.json"))
    about = {label: {"source": label, "teachers": 8 if "population" in label else 1} for label in priors}
    found["nodes"] += [
        {"id": f"prior:{p.key}-{i}", "kind": "prior", "attributes": about[label]}
        for i, (label, p) in enumerate(priors.items())
    ]
    found["nodes"].append({"id": "prior:declared", "kind": "prior", "attributes": {"source": "declared"}})
    keys = {label: f"prior:{p.key}-{i}" for i, (label, p) in enumerate(priors.items())}
    for row in rows:
        if row["status"] != "failed":
            # z and theta are independent: the declared prior is left for them.
            sources = ["prior:declared", *([keys[row["prior"]]] if row["prior"] in keys else [])]
            target = f"fit:{row['fit_key']}"
            found["edges"] += [{"source": s, "target": target, "relation": "prior of"} for s in sources]
    return dict(found)
