"""The model's code: MLflow copies this file into every registered version and runs it when that is loaded.

It is no part of the package at run time, so it imports MLflow and the predictions only.
"""

from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel


class PortfolioModel(PythonModel):
    """Entity columns and inputs in; status, mean, median and bounds out."""

    def load_context(self, context: Any) -> None:
        """Open the result that lies beside this file."""
        from posterity.portfolio.serving import Server

        self._server = Server.open(context.artifacts["result"])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row out for each row in; `params["interval"]` is the mass between `lower` and `upper`.

        What cannot be predicted is an MlflowException, whose sentence a server passes on.
        """
        from posterity.errors import PosterityError

        try:
            return self._server.predict(model_input, (params or {}).get("interval", 0.9))
        except PosterityError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error


set_model(PortfolioModel())
