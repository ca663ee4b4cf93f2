"""Visitors of a drill: they ask for a list each, and click."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recsys.pilot.drills.scratch import SURFACE, TENANT
from recsys.pilot.drills.stage import DrillError, now
from recsys.pilot.service_process import ServiceProcess


def visit(
    service: ServiceProcess,
    users: Sequence[str],
    *,
    arm: Callable[[str], dict[str, str] | None] = lambda _: None,
    clicked_request: Callable[[str, str], str] = lambda _, request_id: request_id,
) -> None:
    """Let each user ask for a list and click its first item; raises :class:`DrillError` when refused.

    ``arm`` is the ``experiment`` that the client sends for a user; ``clicked_request`` makes the request id
    of a click from the user and that of the list.
    """
    outcomes = []
    for user in users:
        request: dict[str, object] = {
            "surface": SURFACE,
            "segment": "default",
            "k": 5,
            "user": {"user_id": user},
        }
        sent_arm = arm(user)
        if sent_arm is not None:
            request["experiment"] = sent_arm
        answer = service.post("/v1/recommend", request, x_org_id=TENANT).json()
        if not isinstance(answer, dict) or not answer.get("items"):
            raise DrillError("a list was refused, or empty")
        outcomes.append(
            {
                "request_id": clicked_request(user, answer["meta"]["request_id"]),
                "user_id": user,
                "item_id": answer["items"][0]["item_id"],
                "event_type": "click",
                "ts": now().isoformat(),
            }
        )
    sent = service.post("/v1/events", {"outcomes": outcomes}, x_org_id=TENANT)
    if sent.status != 200:
        raise DrillError(f"events were answered {sent.status}: {sent.body.decode(errors='replace')}")
