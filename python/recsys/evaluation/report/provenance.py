"""The head of a report: run, time, verdict, inputs, settings without secrets, and versions."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from uuid import uuid4

import recsys
from recsys.contracts.reports import (
    Executive,
    GateResult,
    InputFile,
    Mode,
    Report,
    ReportWarning,
    Setting,
    Summary,
    Verdict,
)

LIBRARIES = ("duckdb", "numpy", "scipy", "pyarrow", "matplotlib")
_USER_INFO = re.compile(r"^(?P<scheme>[a-z][a-z0-9+.-]*://)[^/@]*@", re.IGNORECASE)
_SECRET = re.compile(r"salt|secret|token|password|passwd|credential|api_?key", re.IGNORECASE)


def without_secrets(address: str) -> str:
    """Return a path or address without user, password and query, which may hold a signature."""
    if "://" not in address:
        return address
    return _USER_INFO.sub(r"\g<scheme>", address.split("?", 1)[0].split("#", 1)[0])


def settings_without_secrets(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """Return the settings by name, secrets replaced: whatever is called one, and what addresses carry."""
    return {name: _without(name, settings[name]) for name in sorted(settings)}


def new_report(
    mode: Mode,
    *,
    cases: int,
    inputs: Sequence[InputFile],
    settings: Mapping[str, Setting],
    gates: Sequence[GateResult] = (),
    warnings: Sequence[ReportWarning] = (),
    seed: int | None = None,
    now: datetime | None = None,
    run_id: str | None = None,
) -> Report:
    """Return a report without its mode's payload (``msgspec.structs.replace`` puts that in).

    The verdict is ``pass`` when every gate passes, ``fail`` when one does not (a hold is no pass),
    ``not_configured`` without gates.
    """
    judged = {gate.verdict for gate in gates} - {"not_configured"}
    verdict: Verdict = "not_configured" if not judged else "pass" if judged == {"pass"} else "fail"
    return Report(
        run_id=run_id or uuid4().hex,
        mode=mode,
        created_at=now or datetime.now(UTC),
        version=recsys.__version__,
        summary=Summary(cases_evaluated=cases, executive=Executive(decision=verdict)),
        gates=list(gates),
        warnings=list(warnings),
        inputs=list(inputs),
        effective_config=settings_without_secrets(settings),
        seed=seed,
        environment=library_versions(),
    )


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of what computes."""
    return {
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
    }


def _without(name: str, value: Setting) -> Setting:
    if _SECRET.search(name) and value is not None:
        return "(not shown)"
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, list):
        return [without_secrets(part) if isinstance(part, str) else part for part in value]
    return value
