"""The panel: one row an observation, read, checked and cut by entity. Needs no PyMC and no MLflow."""

from posterity.panel.panel import Panel, Rows
from posterity.panel.reading import read

__all__ = ["Panel", "Rows", "read"]
