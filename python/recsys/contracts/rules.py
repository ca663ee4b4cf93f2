"""The rules document: what merchandisers pin, block and boost, where, and when.

An array of rules, or ``{"rules": [...]}``. Rules are resolved against a catalog elsewhere; here they are
typed, checked, and put in order of authority: priority descending, then document order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from recsys.contracts.documents import InvalidDocument, convert, parse_json
from recsys.contracts.http import Name
from recsys.contracts.records import Id, Timestamp

Action = Literal["PIN", "BLOCK", "BOOST"]
TargetType = Literal["ITEM", "TAG", "BRAND", "CATEGORY"]
SegmentName = Annotated[str, Meta(min_length=1, max_length=128)]

DEFAULT_MAX_PINS = 3
MAX_PINS = 200
MAX_BOOST = 1e90
"""The most that all boosts of an item together multiply its score by, so that it stays a number."""
MAX_RULES = 10_000
MAX_ITEMS_PER_RULE = 10_000


class Rule(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One rule. Without ``surface`` or ``segment`` it holds on all of them; ``valid_until`` is exclusive.

    A ``BOOST`` multiplies the score by ``1 + boost`` (``boost >= -1``), several by their product, which is at
    most 1e90. ``max_pins`` has a meaning for
    ``PIN`` alone.
    """

    rule_id: Annotated[str, Meta(min_length=1, max_length=128)]
    action: Action
    target_type: TargetType
    target_key: Id | None = None
    item_ids: Annotated[list[Id], Meta(max_length=MAX_ITEMS_PER_RULE)] | None = None
    surface: Name | None = None
    segment: SegmentName | None = None
    enabled: bool = True
    priority: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] = 0
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    boost: Annotated[float, Meta(ge=-1.0, le=1e6)] | None = None
    max_pins: Annotated[int, Meta(ge=0, le=MAX_PINS)] | None = None
    name: str | None = None
    description: str | None = None

    @property
    def multiplier(self) -> float:
        """What a boost multiplies the score by; 1.0 for other actions."""
        return 1.0 + self.boost if self.action == "BOOST" and self.boost is not None else 1.0

    @property
    def targets(self) -> tuple[str, ...]:
        """The item ids, or the one tag, brand or category, that the rule is about."""
        if self.item_ids:
            return tuple(self.item_ids)
        return () if self.target_key is None else (self.target_key,)

    def is_over(self, now: datetime) -> bool:
        """Whether the window of the rule ended before ``now`` (with a zone), or does so then."""
        return self.valid_until is not None and self.valid_until <= now

    def is_active(self, now: datetime) -> bool:
        """Whether the rule is enabled and ``now`` (with a zone) lies in its window."""
        return self.enabled and (self.valid_from is None or self.valid_from <= now) and not self.is_over(now)

    def is_in_scope(self, surface: str, segment: str) -> bool:
        """Whether the rule holds on this surface for this segment."""
        return self.surface in (None, surface) and self.segment in (None, segment)


class RuleWarning(Struct, frozen=True):
    """Something odd about a rules document that is good all the same; ``detail`` begins with its field."""

    code: Literal["RULE_TARGET_UNKNOWN", "RULE_SURFACE_UNKNOWN"]
    detail: str


def parse_rules(data: bytes) -> tuple[Rule, ...]:
    """Return the rules of a JSON document, in document order, each checked.

    Raises :class:`InvalidDocument` whose pointer names the field, for example ``rules[3].valid_until``.
    """
    return read_rules(parse_json(data, "rules"))


def read_rules(document: object) -> tuple[Rule, ...]:
    """Return the rules of a document given as plain values (JSON or TOML); raises as :func:`parse_rules`."""
    if isinstance(document, dict):
        unknown = sorted(str(key) for key in document if key != "rules")
        if unknown:
            raise InvalidDocument(unknown[0], "unknown field; a rules document has only `rules`")
        if "rules" not in document:
            raise InvalidDocument("rules", "missing; give an array of rules, or an object with one")
        document = document["rules"]
    rules = convert(document, list[Rule], "rules")
    if len(rules) > MAX_RULES:
        raise InvalidDocument("rules", f"{len(rules)} rules; at most {MAX_RULES} are taken")
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        _check(rule, f"rules[{index}]")
        first = seen.setdefault(rule.rule_id, index)
        if first != index:
            raise InvalidDocument(f"rules[{index}].rule_id", f"already the id of rules[{first}]")
    return tuple(rules)


def _check(rule: Rule, at: str) -> None:
    """Check what needs more than one field; messages point at the field to change."""
    if rule.target_type == "ITEM":
        if (rule.target_key is None) == (not rule.item_ids):
            raise InvalidDocument(f"{at}.item_ids", "give either target_key or item_ids for target_type ITEM")
    else:
        if rule.item_ids:
            raise InvalidDocument(f"{at}.item_ids", f"not for target_type {rule.target_type}; use target_key")
        if rule.target_key is None:
            raise InvalidDocument(f"{at}.target_key", f"needed for target_type {rule.target_type}")
    if rule.action == "BOOST" and (rule.boost is None or not math.isfinite(rule.boost)):
        raise InvalidDocument(f"{at}.boost", "a BOOST rule needs a finite number, the multiplier minus one")
    if rule.action != "BOOST" and rule.boost:
        raise InvalidDocument(f"{at}.boost", f"has no effect with action {rule.action}; remove it")
    if rule.valid_from and rule.valid_until and rule.valid_until <= rule.valid_from:
        raise InvalidDocument(f"{at}.valid_until", "must be later than valid_from")


def with_blocks(rules: Sequence[Rule], others: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules and, after them, the ``BLOCK`` rules of ``others`` that are not among them."""
    own = {rule.rule_id: rule for rule in rules}
    return (*rules, *(rule for rule in others if rule.action == "BLOCK" and own.get(rule.rule_id) != rule))


def order_rules(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules in order of authority: priority descending, then as given."""
    return tuple(sorted(rules, key=lambda rule: -rule.priority))


def rules_in_scope(rules: Iterable[Rule], surface: str, segment: str) -> tuple[Rule, ...]:
    """Return the enabled rules for a surface and segment, in order of authority, whatever their windows."""
    return order_rules(rule for rule in rules if rule.enabled and rule.is_in_scope(surface, segment))


def window_boundaries(rules: Iterable[Rule]) -> tuple[datetime, ...]:
    """Return every moment at which an enabled rule begins or stops to hold, in order, each once.

    Between two neighbours the set of active rules does not change, so one resolved set
    serves all requests there.
    """
    moments = (moment for rule in rules if rule.enabled for moment in (rule.valid_from, rule.valid_until))
    return tuple(sorted({moment for moment in moments if moment is not None}))


def pin_limit(rules: Sequence[Rule]) -> int:
    """Return how many pins one response may have: the most that a ``PIN`` rule allows (3 unless said)."""
    limits = [
        DEFAULT_MAX_PINS if rule.max_pins is None else rule.max_pins for rule in rules if rule.action == "PIN"
    ]
    return max(limits, default=DEFAULT_MAX_PINS)
