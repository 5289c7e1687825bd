"""`PymcModel`: fit, predict, export, save and load, as the old wrapper had them."""

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from posterity.compat import files, rows, trained
from posterity.compat.curve import named
from posterity.compat.words import Curve, configured, copied, inputs, parameters
from posterity.config import Config
from posterity.config.words import listed, quoted
from posterity.errors import ConfigError, ModelError, PanelError, ResultError

if TYPE_CHECKING:
    import xarray as xr

    from posterity.inference.posterior import Floats
    from posterity.portfolio.result import Result

_OWN = ("model_config", "_function", "_overrides_hook", "_trace", "_result", "_keeper")
BLOCK = 1_000
"""Rows predicted at once: draws × rows are in memory."""


class _Keeper:
    """While it lives, so does the folder of a result."""


class PymcModel:
    """One Bayesian regression with normal noise, configured as the old wrapper was.

    `model_config` has `independent_vars` (columns of X), `variable_params` (name -> `dist` and `params`) and
    may have `sample_params`; further sections of a configuration (`inference`, `gates`, ...) may stand
    beside them. The curve is a function of the independent variables and the parameters, by name, that works
    on arrays: `function`, or `function_params: {function: ...}` or `function: NAME` in the dictionary, or the
    method `model_function` of a subclass. It may be any callable, one of a notebook included. The scale of
    the noise is `sigma`, HalfNormal(1) unless `variable_params` has it.

    The dictionary is copied and never changed. A model pickles if its function does; the copy predicts the
    same, and exports like a model whose trace was loaded. Raises ConfigError with every problem.

    >>> model = PymcModel(config, function=curve).fit(X, Y)  # doctest: +SKIP
    >>> lower, centre, upper = model.predict(X, alpha=0.9)  # doctest: +SKIP
    """

    model_function: ClassVar[Callable[..., Any] | None] = None
    """A subclass may write its curve as this method; it is called with names, and gets PyTensor variables."""

    load_config_from_file = staticmethod(files.load_config_from_file)

    def __init__(self, model_config: Mapping[str, Any], function: Curve | None = None) -> None:
        words, inside = copied(model_config)
        self.model_config: dict[str, Any] = words
        self._function = function if function is not None else inside
        self._overrides_hook = function is not None
        self._trace: xr.DataTree | None = None
        self._result: Result | None = None
        self._keeper: _Keeper | None = None
        if isinstance(self._function, str):
            self.model_config["function"] = self._function
        self._configured()

    @property
    def trace(self) -> "xr.DataTree | None":
        """The draws as an ArviZ DataTree; None before `fit` or `load_trace`."""
        return self._trace

    def check_is_fitted(self) -> bool:
        """Whether there is a posterior, from `fit` or `load_trace`."""
        return self._trace is not None

    def fit(self, X: Any, Y: Any) -> Self:  # noqa: N803
        """The posterior given rows; an earlier one is forgotten, and the priors are the declared ones again.

        X is a DataFrame or mapping with the independent variables among its columns, or an array (n, k) of
        them in their order, (n,) if there is one; Y (n,). Rows are matched by position. Warns where a gate
        is open. Raises PanelError for rows that cannot be used, ModelError where no method gave a posterior;
        the model then keeps what it had.
        """
        from posterity.portfolio.portfolio import Portfolio

        config = self._configured()
        portfolio = Portfolio(config)
        panel = portfolio.read(rows.table(X, config, inputs(self.model_config), Y))
        if panel.reasons:
            raise PanelError([*panel.reasons.values()])
        # Not a TemporaryDirectory, which warns where it goes without a word.
        folder, keeper = tempfile.mkdtemp(prefix="posterity-"), _Keeper()
        weakref.finalize(keeper, shutil.rmtree, folder, ignore_errors=True)
        result = portfolio.fit(panel, out=Path(folder) / "result", workers=0)
        entity = panel.entities[0]
        facts = result.entity_row(entity)
        if facts["status"] == "failed":
            raise ModelError(f"no posterior: {facts['reason']}")
        if facts["status"] != "ok":
            warnings.warn(f"the posterior is {facts['status']}: {facts['reason']}", stacklevel=2)
        for notice in result.manifest.extra["notices"]:
            if notice.startswith(f"{entity}: declared instead"):
                warnings.warn(f"the joint prior was not used: {notice}", stacklevel=2)
        self._trace, self._result, self._keeper = result.trace(entity), result, keeper
        return self

    def predict(self, X: Any, alpha: float | None = None) -> "Floats":  # noqa: N803
        """The posterior predictive distribution at rows X, as in `fit`: what a new observation there may be.

        Without `alpha` its median (n,); with it, for instance 0.9, an array (3, n) with the rows lower bound,
        median, upper bound, between which `alpha` of the probability lies, as much below as above. The median
        is the same with and without. The same rows in the same places give the same numbers.

        Raises ConfigError for an `alpha` not between 0 and 1, ResultError before a fit, PanelError for rows
        that cannot be used.
        """
        if alpha is not None and not 0 < alpha < 1:
            allowed = "the mass of the interval, between 0 and 1: 0.9 leaves out 5 % below and 5 % above"
            raise ConfigError([f"alpha: {quoted(alpha)} found; allowed: {allowed}"])
        from posterity.portfolio.entity import summarise

        trace, config = self._fitted(), self._configured()
        given = rows.table(X, config, inputs(self.model_config))
        blocks = [np.empty((3, 0))]
        for drawn in rows.predicted(trace, config, given, BLOCK):
            found = summarise(drawn, (0.5 if alpha is None else float(alpha),))
            blocks.append(np.stack([found.lower[0], found.median, found.upper[0]]))
        predicted = np.concatenate(blocks, axis=1)
        return predicted[1] if alpha is None else predicted

    def export_trained_config(self, file_path: str | Path | None = None) -> dict[str, Any]:
        """The configuration with the posterior as its priors, for a new model; also written to a file.

        Each prior keeps its support and, where it describes the draws, its family; `sigma` is among them.
        These priors are independent. Beside `x.yaml` the joint prior is written to `x.prior.yaml`, which the
        file names in `transfer` and a fit uses in their place; without a path, or after `load_trace`, there
        is none. Comments in the file say what it lacks. A function given in Python is not in it.

        Raises ResultError before a fit.
        """
        trace, config = self._fitted(), self._configured()
        if self._result is None:
            draws = {name: rows.flat(trace, name) for name in config.model.parameters}
            found = trained.words(self.model_config, trained.priors(config, draws))
            return found if file_path is None else trained.write(found, None, file_path)
        from posterity.portfolio.export import export

        exported = export(self._result, trace.attrs["entity"])
        found = trained.words(self.model_config, exported.plain.model.parameters)
        return found if file_path is None else trained.write(found, exported, file_path)

    def save_trace(self, file_path: str | Path) -> None:
        """Write the draws as netCDF, which ArviZ opens. Raises ResultError before a fit."""
        files.save(self._fitted(), file_path)

    def load_trace(self, file_path: str | Path) -> None:
        """Take the draws from a netCDF file, of `save_trace` or of an old trace's `to_netcdf`.

        Raises ResultError for another kind of file, and for a trace that lacks a parameter of this model.
        """
        trace, wanted = files.load(file_path), list(self._configured().model.parameters)
        posterior = trace.children.get("posterior")
        here = [] if posterior is None else [str(n) for n, v in posterior.data_vars.items() if v.ndim == 2]
        if missing := [name for name in wanted if name not in here]:
            raise ResultError(
                f"{file_path}: its posterior has {listed(here, 'and') or 'no draws (chain, draw)'} and lacks "
                f"{listed(missing, 'and')}; load it into a model with the configuration it was made with"
            )
        self._trace, self._result, self._keeper = trace, None, None

    def _fitted(self) -> "xr.DataTree":
        if self._trace is None:
            raise ResultError("this model is not fitted yet; call fit(X, Y) or load_trace(path) first")
        return self._trace

    def _configured(self) -> Config:
        unknowns = [name for name in parameters(self.model_config) if name != "sigma"]
        names = list(dict.fromkeys([*inputs(self.model_config), *unknowns]))
        hook = None if self._overrides_hook else self.model_function
        if hook is not None:
            # What a method does may hang on attributes that the subclass gave its object.
            own = {name: value for name, value in vars(self).items() if name not in _OWN}
            return configured(self.model_config, named(hook, names, (type(self), own)))
        if self._function is None:
            ways = "config['function_params'] = {'function': ...}, or the method model_function of a subclass"
            raise ConfigError([f"function: is missing; write PymcModel(config, function=...), {ways}"])
        return configured(self.model_config, named(self._function, names))

    def __getstate__(self) -> dict[str, Any]:
        # The folder of the result goes with this object; a copy has the draws.
        return {**vars(self), "_result": None, "_keeper": None}
