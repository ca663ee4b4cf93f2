"""``decision.v1``: ship, hold or fail, with the gates that led to it and the hashes of what was read."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

DecisionKind = Literal["ship", "hold", "fail"]
GateName = Literal["schemas", "join_integrity", "guardrails", "primary_metric", "rollback_path"]
GateStatus = Literal["pass", "hold", "fail", "not_reached"]

EXIT_CODES: dict[DecisionKind, int] = {"ship": 0, "hold": 2, "fail": 3}


class GateResult(Struct, frozen=True, kw_only=True):
    """One gate, in words and with the numbers that it read; a gate behind one that stopped is
    ``not_reached``.
    """

    name: GateName
    status: GateStatus
    reason: str
    evidence: dict[str, float | int | str | bool | None] = {}


class Decision(Struct, frozen=True, kw_only=True):
    """The decision and its gates in the order in which they ran; ``inputs`` maps a name to a sha256."""

    decision: DecisionKind
    reason: Annotated[str, Meta(min_length=1)]
    control_variant: Annotated[str, Meta(min_length=1)]
    candidate_variant: Annotated[str, Meta(min_length=1)]
    gates: list[GateResult] = []
    inputs: dict[str, str] = {}
