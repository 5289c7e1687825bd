"""posteriordb's problems as tables for the configurations in `configs/posteriordb`, and their references."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

type Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A configuration's name, the files of its reference and data, and how the two name things."""

    config: str
    reference: str
    data: str
    table: Callable[[Raw], Mapping[str, Any]]
    parameters: Mapping[str, str]  # the reference's name → ours

    def write(self, source: Path, folder: Path) -> Path:
        """The problem's rows as the Parquet file that its configuration reads."""
        columns = dict(self.table(json.loads((source / "data" / f"{self.data}.json").read_text())))
        rows = len(next(iter(columns.values())))
        path = folder / f"{self.config}.parquet"
        pq.write_table(pa.table({"study": [self.config] * rows, **columns}), path)
        return path

    def answers(self, source: Path) -> dict[str, Mapping[str, float]]:
        """Mean, sd and their Monte Carlo errors by our parameter names."""
        reference = json.loads((source / f"{self.reference}.json").read_text())["reference"]
        return {ours: reference[theirs] for theirs, ours in self.parameters.items()}


VOTERS = ("partyid7", "real_ideo", "race_adj", "age_discrete", "educ1", "gender", "income")
SCHOOLS = "ABCDEFGH"

PROBLEMS = (
    Problem(
        "kidscore_momiq",
        "kidiq-kidscore_momiq",
        "kidiq",
        lambda d: {"kid_score": d["kid_score"], "mom_iq": d["mom_iq"]},
        {"beta[1]": "intercept", "beta[2]": "slope", "sigma": "sigma"},
    ),
    Problem(
        "nes1980",
        "nes1980-nes",
        "nes1980",
        lambda d: {name: d[name] for name in VOTERS},
        {
            "beta[1]": "intercept",
            "beta[2]": "ideology",
            "beta[3]": "race",
            "beta[4]": "age[30-44]",
            "beta[5]": "age[45-64]",
            "beta[6]": "age[65 up]",
            "beta[7]": "education",
            "beta[8]": "sex",
            "beta[9]": "wealth",
            "sigma": "sigma",
        },
    ),
    Problem(
        "sblrc",
        "sblrc-blr",
        "sblrc",
        lambda d: {"y": d["y"], **{f"x{i + 1}": [row[i] for row in d["X"]] for i in range(5)}},
        {**{f"beta[{i}]": f"beta[x{i}]" for i in range(1, 6)}, "sigma": "sigma"},
    ),
    Problem(
        "eight_schools",
        "eight_schools-eight_schools_noncentered",
        "eight_schools",
        lambda d: {"estimate": d["y"], "standard_error": d["sigma"], "school": list(SCHOOLS)},
        {"mu": "mu", "tau": "tau", **{f"theta[{i + 1}]": f"theta[{s}]" for i, s in enumerate(SCHOOLS)}},
    ),
)
