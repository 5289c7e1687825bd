"""Writes `digits.parquet` and `digits_held_out.parquet` from scikit-learn's copy: `python data/digits.py`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HELD_OUT = 0.2
SEED = 2026


def tables() -> tuple[pa.Table, pa.Table]:
    """1,437 rows to fit and 360 held out, the same share of every digit; pixels are from 0 to 1."""
    digits = load_digits()
    kept, held_out = train_test_split(
        np.arange(len(digits.target)), test_size=HELD_OUT, random_state=SEED, stratify=digits.target
    )
    return panel(digits.data, digits.target, np.sort(kept)), panel(
        digits.data, digits.target, np.sort(held_out)
    )


def panel(pixels: np.ndarray, digit: np.ndarray, rows: np.ndarray) -> pa.Table:
    """Some rows with one entity: pixels (n, 64) from 0 to 16 line by line, digits (n,)."""
    columns = {"image": rows.astype(np.int16), "kind": np.array(["digits"] * len(rows))}
    columns |= {f"pixel_{i:02d}": (pixels[rows, i] / 16).astype(np.float32) for i in range(64)}
    return pa.table({**columns, "digit": digit[rows].astype(np.int8)})


if __name__ == "__main__":
    for table, name in zip(tables(), ("digits", "digits_held_out"), strict=True):
        pq.write_table(
            table, Path(__file__).with_name(f"{name}.parquet"), compression="zstd", compression_level=19
        )
