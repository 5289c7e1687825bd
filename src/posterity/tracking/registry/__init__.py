"""Versions of portfolios: registering results, and who is champion."""

from posterity.tracking.registry.connect import connect_registry, registry_of
from posterity.tracking.registry.moves import Move, approve, promote, rollback
from posterity.tracking.registry.register import open_version, register, registered
from posterity.tracking.registry.registry import CHALLENGER, CHAMPION, Registry, Version, aliased, at

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "Move",
    "Registry",
    "Version",
    "aliased",
    "approve",
    "at",
    "connect_registry",
    "open_version",
    "promote",
    "register",
    "registered",
    "registry_of",
    "rollback",
]
