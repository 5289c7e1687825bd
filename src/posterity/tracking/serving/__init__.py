"""A result as an MLflow model: a `pyfunc` defined by code, with the result's folder as its artifact."""

FOLDER = "model"
"""Where a model lies among the artifacts of its run."""

ARTIFACT = "artifacts/result"
"""Where the result lies inside the model's folder; `posterity.open` takes it."""
