"""Models: curves, expressions and likelihoods; from a configuration to a PyMC model, described before it
is built.
"""

from posterity.models.build import BuiltModel, build
from posterity.models.description import Description, describe

__all__ = ["BuiltModel", "Description", "build", "describe"]
