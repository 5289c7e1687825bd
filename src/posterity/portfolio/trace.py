"""The stored draws of one entity as an ArviZ DataTree."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from posterity.errors import ResultError
from posterity.portfolio.labels import variables

if TYPE_CHECKING:
    import xarray as xr

    from posterity.portfolio.result import Result

_ATTRIBUTES = ("entity", "status", "reason", "method", "role", "fit_key", "parent_fit_key", "prior")
_STATISTICS = ("divergences", "bfmi", "khat", "seconds")
_PREDICTED = ("mean", "median", "lower_", "upper_", "expected_")


def tree(result: "Result", entity: str) -> "xr.DataTree":
    """Posterior (chain, draw, dims of the parameter), sample_stats (scalars), observed_data and
    constant_data (row).

    Chains of unequal length are cut to the shortest; the attribute `draws_left_out` then says how many draws
    that cost.
    """
    import arviz_base as az

    facts = result.entity_row(entity)
    table = result.entity_table("draws.parquet", entity)
    if table.num_rows == 0:
        why = facts["reason"] or "none are stored"
        raise ResultError(f"{result.path}: no draws of entity {entity[:60]!r} ({facts['status']}): {why}")
    columns, left_out = _chains(table)
    parameters = variables(list(columns), _dims(result.settings))
    rows = result.entity_table("intervals.parquet", entity)
    target = str(result.settings.get("data", {}).get("target", "observed"))
    constant = {
        name: _array(rows[name])
        for name in rows.column_names
        if name not in ("entity", "observed")
        and not name.startswith(_PREDICTED)
        and rows[name].null_count == 0
    }
    statistics = {k: np.float64(facts[k]) for k in _STATISTICS if facts.get(k) is not None}
    attributes = {k: facts[k] for k in _ATTRIBUTES if facts.get(k) is not None}
    if left_out:
        attributes["draws_left_out"] = left_out
    built: xr.DataTree = az.from_dict(
        {
            "posterior": {p.name: p.gather(columns) for p in parameters},
            "observed_data": {target: _array(rows["observed"])},
            "constant_data": constant,
        },
        dims={p.name: list(p.dims) for p in parameters} | {k: ["row"] for k in (target, *constant)},
        coords={d: list(levels) for p in parameters for d, levels in zip(p.dims, p.levels, strict=True)},
        attrs={"/": {**attributes, "posterity_result": result.name, "run_key": result.manifest.run_key}},
    )
    # Not through from_dict, which would give these numbers of the whole fit a chain and a draw.
    from xarray import Dataset, DataTree

    built["sample_stats"] = DataTree(Dataset({k: ((), v) for k, v in statistics.items()}))
    return built


def _chains(table: pa.Table) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Arrays of shape (chain, draw) by scalar label, and how many draws were left out to make chains
    equally long.
    """
    chain = table["chain"].to_numpy()
    order = np.lexsort((table["draw"].to_numpy(), chain))
    _, lengths = np.unique(chain, return_counts=True)
    n = int(lengths.min())
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    take = order[(starts[:, None] + np.arange(n)).ravel()]
    labels = [
        c for c in table.column_names if c not in ("entity", "chain", "draw") and table[c].null_count == 0
    ]
    values = {c: table[c].to_numpy().astype(np.float64)[take].reshape(len(lengths), n) for c in labels}
    return values, int(lengths.sum() - n * len(lengths))


def _dims(settings: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of the dimensions of vector parameters, as the stored configuration declares them."""
    declared = settings.get("model", {}).get("parameters", {})
    found = {name: prior.get("dims") for name, prior in declared.items() if isinstance(prior, Mapping)}
    return {k: (v,) if isinstance(v, str) else tuple(v) for k, v in found.items() if v}


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column as NumPy; dates as datetime64[ns], which is what xarray and netCDF take."""
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("ns"))
    values: NDArray[Any] = column.to_numpy()
    return values.astype(str) if values.dtype == object else values
