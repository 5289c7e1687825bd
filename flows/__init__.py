"""Prefect: flows, tasks and deployments. Wiring only; the library works without it."""
