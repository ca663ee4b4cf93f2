"""Whether alerts would reach somebody: what a Prometheus loaded, and who takes what it fires."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from recsys.contracts.errors import RecsysError
from recsys.pilot.asking import ask, check_url

T = TypeVar("T", bound=Struct)
ALERTS = (
    "RecsysErrorsFast",
    "RecsysErrorsMedium",
    "RecsysErrorsSlow",
    "RecsysLatencyFast",
    "RecsysLatencyMedium",
    "RecsysLatencySlow",
    "RecsysEmptyLists",
    "RecsysStaleSignals",
    "RecsysExposuresLost",
    "RecsysSnapshotFailures",
    "RecsysOverload",
    "RecsysJoinRate",
    "RecsysTargetDown",
)
"""Those of ``deploy/prometheus/recsys.rules.yml``."""


class Alerting(Struct, frozen=True, kw_only=True):
    """``alerting.v1``: alerts that are loaded and can be evaluated, and the Alertmanagers that answered.

    ``receivers`` are those that the Alertmanagers may route to.
    """

    v: int = 1
    at: datetime
    prometheus: str
    alerts: list[str]
    alertmanagers: list[str]
    receivers: list[str]

    def missing(self) -> list[str]:
        """Return the alerts that are not loaded."""
        return [name for name in ALERTS if name not in self.alerts]


class _Rule(Struct):
    name: str
    type: str
    health: str


class _Group(Struct):
    rules: list[_Rule]


class _Rules(Struct):
    groups: list[_Group]


class _RulesAnswer(Struct):
    data: _Rules


class _Alertmanager(Struct):
    url: str


class _Alertmanagers(Struct):
    active: list[_Alertmanager] = msgspec.field(name="activeAlertmanagers")


class _AlertmanagersAnswer(Struct):
    data: _Alertmanagers


class _Receiver(Struct):
    name: str


def ask_prometheus(url: str) -> Alerting:
    """Ask a Prometheus for its alerts, and its Alertmanagers for their receivers.

    Raises :class:`RecsysError` when the Prometheus does not answer as one.
    """
    base = check_url(url)
    rules = _get(f"{base}/api/v1/rules?type=alert", _RulesAnswer).data
    managers = _get(f"{base}/api/v1/alertmanagers", _AlertmanagersAnswer).data.active
    reached: list[str] = []
    receivers: set[str] = set()
    for manager in managers:
        # It is named with its route for alerts, ".../api/v2/alerts".
        api = manager.url.removesuffix("/alerts")
        answer = ask(f"{api}/receivers")
        if answer.status == 200:
            reached.append(urlsplit(manager.url).netloc)
            receivers |= {one.name for one in msgspec.json.decode(answer.body, type=list[_Receiver])}
    return Alerting(
        at=datetime.now(UTC),
        prometheus=base,
        alerts=sorted({one.name for group in rules.groups for one in group.rules if one.health != "err"}),
        alertmanagers=sorted(reached),
        receivers=sorted(receivers),
    )


def _get(url: str, kind: type[T]) -> T:
    answer = ask(url)
    if answer.status != 200:
        raise RecsysError(f"{url} answered {answer.status or 'nothing'}")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.MsgspecError as error:
        raise RecsysError(f"{url}: not what a Prometheus answers: {error}") from error
