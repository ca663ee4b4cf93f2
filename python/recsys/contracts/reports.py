"""``report.v1``: what an evaluation measured, on which inputs and with which settings.

The header is the same for every mode; each mode has one object of its own, absent from the reports of
the others.
The same inputs and settings give the same bytes but for ``run_id`` and ``created_at``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from recsys.contracts.patterns import SHA256

Mode = Literal["offline", "experiment", "ope", "interleaving", "aa-check"]
Verdict = Literal["pass", "fail", "not_configured"]
GateVerdict = Literal["pass", "hold", "fail", "not_reached", "not_configured"]
Sha256 = Annotated[str, Meta(pattern=SHA256)]
Setting = str | int | float | bool | None | list[str | int | float]


class InputFile(Struct, frozen=True):
    """One input: its role (``exposures``, ``outcomes``…), its name, size in bytes and full digest."""

    role: str
    name: str
    bytes: Annotated[int, Meta(ge=0)]
    sha256: Sha256


class Executive(Struct, frozen=True):
    """The verdict of the gates, ``not_configured`` when there are none."""

    decision: Verdict


class Summary(Struct, frozen=True):
    """How many cases (requests or lists) were evaluated, and the verdict."""

    cases_evaluated: Annotated[int, Meta(ge=0)]
    executive: Executive


class GateResult(Struct, frozen=True):
    """One gate: its name, what it says, and the numbers that say so in a sentence; ``hold`` is inconclusive,
    and a gate behind one that stopped is ``not_reached``.
    """

    name: str
    verdict: GateVerdict
    detail: str


class ReportWarning(Struct, frozen=True):
    """Something the reader should know before trusting a number."""

    code: str
    detail: str


class MetricValue(Struct, frozen=True):
    """The mean of one metric over ``n`` lists; ``k`` is absent for metrics without a cut-off."""

    metric: str
    k: int | None
    value: float
    n: Annotated[int, Meta(ge=0)]


class SystemMetrics(Struct, frozen=True):
    """The metrics of one ranked system (``baseline``, ``candidate`` or a name of the caller's)."""

    system: str
    metrics: list[MetricValue]


class SliceMetrics(Struct, frozen=True):
    """The metrics of one system on one slice, ``dimensions`` mapping each dimension to its value."""

    system: str
    dimensions: dict[str, str]
    metrics: list[MetricValue]


class PairedComparison(Struct, frozen=True):
    """Candidate minus baseline on the same requests: difference of means, its interval and p-values
    (0..1)."""

    metric: str
    k: int | None
    baseline: float
    candidate: float
    difference: float
    ci_low: float
    ci_high: float
    confidence: float
    p_value: float
    p_value_holm: float
    users: Annotated[int, Meta(ge=0)]


class OfflineReport(Struct, frozen=True):
    """``offline``: ranking quality of one or two systems against the outcomes of the same requests.

    ``requests`` were exposed in the time span; those with a relevant outcome are the cases, of ``users``.
    """

    precision_divides_by: Literal["list_length", "k"]
    relevance: Literal["click", "conversion", "any"]
    systems: list[SystemMetrics]
    slices: list[SliceMetrics]
    slices_below_minimum: int
    comparison: list[PairedComparison]
    requests: int | None = None
    users: int | None = None
    popularity_from: str | None = None
    catalog_from: str | None = None


class ValidationReport(Struct, frozen=True):
    """The check of logs, headed as the reports of measurements are; ``validation`` is the check itself."""

    run_id: str
    mode: Literal["validate"]
    created_at: datetime
    version: str
    warnings: list[ReportWarning]
    inputs: list[InputFile]
    effective_config: dict[str, Setting]
    environment: dict[str, str]
    validation: Raw
    gates: list[GateResult] = []
    seed: int | None = None


class Report(Struct, frozen=True):
    """``report.v1``. The payloads of the other modes are structs of their own, encoded into
    :class:`msgspec.Raw`; ``environment`` maps Python and the libraries that computed to their versions."""

    run_id: str
    mode: Mode
    created_at: datetime
    version: str
    summary: Summary
    gates: list[GateResult]
    warnings: list[ReportWarning]
    inputs: list[InputFile]
    effective_config: dict[str, Setting]
    seed: int | None
    environment: dict[str, str] = {}
    offline: OfflineReport | UnsetType = UNSET
    experiment: Raw | UnsetType = UNSET
    ope: Raw | UnsetType = UNSET
    interleaving: Raw | UnsetType = UNSET
    aa_check: Raw | UnsetType = UNSET


AnyReport = Report | ValidationReport
"""What is written as JSON, Markdown and HTML."""
