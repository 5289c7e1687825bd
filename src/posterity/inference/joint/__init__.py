"""Joint models: all entities at once, by the methods of PyMC, nutpie and pymc-extras, one file each."""

from posterity.inference.joint.draws import JointDraws
from posterity.inference.joint.methods import METHODS, fit_joint

__all__ = ["METHODS", "JointDraws", "fit_joint"]
