"""The old wrapper's YAML as a configuration.

It had `independent_vars` (columns), `variable_params` (name -> dist and params) and `sample_params`
(arguments of `pm.sample`); curve, target and data were given in Python, and the likelihood was normal.
Whatever it could not say is added in today's words beside it: `name`, `data` and `function`, and any other
section.
"""

from collections.abc import Mapping
from typing import Any

from posterity.config.curves import BUILTIN_CURVES
from posterity.config.findings import Finding, Path, dotted
from posterity.config.positions import Document
from posterity.config.values import plain
from posterity.config.words import listed, meant, quoted
from posterity.errors import ConfigError, Problem

KEYS = ("independent_vars", "variable_params", "sample_params")
_INFERENCE = {
    "draws": "draws", "chains": "chains", "tune": "tune", "target_accept": "target_accept",
    "random_seed": "seed", "seed": "seed",
}  # fmt: skip
_WITHOUT_MEANING = (
    "progressbar",
    "return_inferencedata",
    "idata_kwargs",
    "compute_convergence_checks",
    "cores",
    "init",
)
"""Arguments of `pm.sample` that change what is shown or how fast, never the posterior: read and left out."""


def recognised(values: Mapping[str, Any]) -> bool:
    """Whether these are the old wrapper's words."""
    return any(key in values for key in KEYS)


def translate(values: Mapping[str, Any], function: str | None = None) -> dict[str, Any]:
    """The old wrapper's dictionary in today's words, for `from_dict`; `values` is not changed.

    `function` is the curve that was given in Python: built-in name or `package.module:function`. Sections
    that the old format lacks (name, data) are missing from the result unless they stand beside it.
    Raises `ConfigError` for what cannot be translated."""
    copied, problems = plain(values)
    if isinstance(copied, dict):
        if function is not None:
            copied["function"] = function
        copied, more = translated(copied)
        problems += more
    if problems:
        raise ConfigError(Problem(f"{dotted(p.path)}: {p.message}") for p in problems)
    return dict(copied)


def translated(values: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Today's words, and what could not be translated."""
    findings: list[Finding] = []
    if "model" in values:
        findings.append(
            Finding(
                ("model",),
                f"stands beside the old wrapper's {listed([k for k in KEYS if k in values])}; keep one of "
                "them",
                True,
            )
        )
        return {key: value for key, value in values.items() if key not in KEYS}, findings
    rest = {key: value for key, value in values.items() if key not in (*KEYS, "function")}
    inference = _inference(values, rest, findings)
    return {
        **rest,
        "model": _model(values, findings),
        **({"inference": inference} if inference else {}),
    }, findings


def _model(values: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
    parameters = values.get("variable_params", {})
    if not isinstance(parameters, dict):
        findings.append(
            Finding(
                ("variable_params",), f"{quoted(parameters)} found; allowed: names, each with dist and params"
            )
        )
        parameters = {}
    parameters = {name: _unnamed(name, spec) for name, spec in parameters.items()}
    sigma: Any = "sigma" if "sigma" in parameters else {"dist": "HalfNormal", "kwargs": {"sigma": 1}}
    return {
        "parameters": dict(parameters),
        "quantities": {"curve": _curve(values, set(parameters) - {"sigma"}, findings)},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "curve", "sigma": sigma}},
    }


def _unnamed(name: str, spec: Any) -> Any:
    """Without `params.name`, which PyMC wanted and which repeats the parameter's name."""
    if not isinstance(spec, dict) or not isinstance(params := spec.get("params"), dict):
        return spec
    if params.get("name") != name:
        return spec
    return {**spec, "params": {key: value for key, value in params.items() if key != "name"}}


def _curve(values: dict[str, Any], parameters: set[str], findings: list[Finding]) -> dict[str, Any]:
    columns = values.get("independent_vars", [])
    columns = [columns] if isinstance(columns, str) else columns
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        findings.append(
            Finding(("independent_vars",), f"{quoted(columns)} found; allowed: a list of column names")
        )
        columns = []
    function = values.get("function")
    if function is None:
        same = [
            name for name, names in BUILTIN_CURVES.items() if parameters and set(names) - {"x"} == parameters
        ]
        example = same[0] if same else "package.module:function"
        findings.append(
            Finding(
                ("function",),
                f"is missing: the old wrapper was given its curve in Python; write `function: {example}` "
                "beside "
                "variable_params, a built-in curve or your own function",
            )
        )
        # A stand-in, so that the rest can be checked.
        return {"function": "missing:function"}
    if function in BUILTIN_CURVES and len(columns) == 1:
        return {"function": function, "arguments": {"x": columns[0]}}
    if function in BUILTIN_CURVES and len(columns) > 1:
        findings.append(
            Finding(
                ("independent_vars",),
                f"{quoted(columns)} found; {function} takes one column, its x; name that one",
            )
        )
    return {"function": function}


def _inference(values: dict[str, Any], rest: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
    samples = values.get("sample_params") or {}
    if not isinstance(samples, dict):
        findings.append(
            Finding(("sample_params",), f"{quoted(samples)} found; allowed: draws, chains, tune, ...")
        )
        samples = {}
    found: dict[str, Any] = {}
    for key, value in samples.items():
        if key in _INFERENCE:
            found[_INFERENCE[key]] = value
        elif key not in _WITHOUT_MEANING:
            findings.append(
                Finding(
                    ("sample_params", key),
                    f"has no counterpart here; allowed: {listed(_INFERENCE)}{meant(key, _INFERENCE)}",
                    at_key=True,
                )
            )
    given = rest.get("inference", {})
    return {**found, **given} if isinstance(given, dict) else given


def origin(path: Path, document: Document) -> Path:
    """Where in the file the part stands that became `path`."""
    if not isinstance(document.value, dict) or not recognised(document.value) or "model" in document.value:
        return path
    match path:
        case ("model", "parameters", *rest):
            return ("variable_params", *rest)
        case ("model", "quantities", *_):
            return ("function",) if "function" in document.value else ("independent_vars",)
        case ("inference", key, *_) if path not in document.values:
            samples = document.value.get("sample_params")
            old = [word for word, new in _INFERENCE.items() if new == key and word in (samples or {})]
            return ("sample_params", old[0]) if old else path
    return path
