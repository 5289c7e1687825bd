"""Refits: the posteriors of a result updated with the rows that arrived since."""
