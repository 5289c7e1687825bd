"""The interface of the old YAML-driven PyMC wrapper, over today's engine: the same calls, the same shapes."""

from posterity.compat.files import load_config_from_file
from posterity.compat.pymc_model import PymcModel

__all__ = ["PymcModel", "load_config_from_file"]
