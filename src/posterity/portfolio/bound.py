"""`elbo.parquet`: the bounds that variational methods climbed, of results that have some."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from posterity.inference.elbo import Curve
from posterity.portfolio.parts import Parts, flattened
from posterity.portfolio.store import Draft, atomic

FILE = "elbo.parquet"
JOINT = "joint.elbo.json"
SCHEMA = pa.schema([("entity", pa.string()), ("step", pa.int64()), ("elbo", pa.float64())])


def keep(folder: Path, curve: Curve | None) -> None:
    """Keep the curve of a joint model, which is no entity's own, beside its parts."""
    if curve is None:
        return
    content = {"step": curve.steps.tolist(), "elbo": curve.elbo.tolist()}
    with atomic(folder / JOINT) as file:
        file.write(json.dumps(content).encode())


def write(draft: Draft, parts: Parts, keys: list[str]) -> None:
    """The table of the result, sorted by entity (null: all of them in one model); nothing where no fit has
    one.
    """
    pieces = [flattened(t, "elbo") for t in parts.ordered(keys) if "elbo" in t.column_names]
    place = parts.folder / JOINT
    if place.exists():
        curve = json.loads(place.read_bytes())
        none = pa.nulls(len(curve["step"]), pa.string())
        pieces.append(pa.table({"entity": none, **{k: np.array(v) for k, v in curve.items()}}))
    if any(piece.num_rows for piece in pieces):
        draft.table(FILE, pa.concat_tables([piece.cast(SCHEMA) for piece in pieces]))
