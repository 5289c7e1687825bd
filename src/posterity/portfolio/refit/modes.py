"""How a posterior came to be: what tables call it."""

NEWCOMER, EXACT, CARRY, REWEIGHT, RESET = "fit", "exact", "carry", "reweight", "reset"
"""A first fit; all rows again; the old posterior as prior; the old draws, weighted; and, where an audit found
the old posterior too far off, the exact one in its place."""

APPROXIMATE = (CARRY, REWEIGHT)
"""Those that build on the posterior before, which stands in for all older rows."""
