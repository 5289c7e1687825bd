"""Populations: what established entities have in common, and how far they differ."""

from posterity.portfolio.population.learn import FEWEST, Learned, learn
from posterity.portfolio.population.sweep import Setting, Teacher
from posterity.portfolio.population.value import Population

__all__ = ["FEWEST", "Learned", "Population", "Setting", "Teacher", "learn"]
