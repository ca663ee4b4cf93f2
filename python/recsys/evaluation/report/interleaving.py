"""The story of an interleaving: which of two rankers people prefer, when both fill one list."""

from __future__ import annotations

from msgspec import Struct

from recsys.contracts.reports import Report
from recsys.evaluation.interleaving import Preference
from recsys.evaluation.joins import JoinCounts
from recsys.evaluation.report import numbers
from recsys.evaluation.report.charts import Effect, forest, funnel
from recsys.evaluation.report.story import (
    Badge,
    Column,
    Fact,
    Section,
    Story,
    Table,
    Tone,
    number_columns,
    text_columns,
)


class SlicePreference(Struct, frozen=True, kw_only=True):
    """The preference among the lists with one value of a dimension."""

    dimension: str
    value: str
    preference: Preference


class InterleavingPayload(Struct, frozen=True, kw_only=True):
    """``interleaving`` in the report; ``places`` are the items that each team placed."""

    credit: str
    lists: int
    places: dict[str, int]
    preference: Preference
    slices: list[SlicePreference]
    joins: JoinCounts | None = None


def interleaving_story(_report: Report, payload: InterleavingPayload) -> Story:
    """Return the story; a preference is shown when the exact test is below one minus the level."""
    found = payload.preference
    is_clear = found.p_value < 1.0 - found.level
    winner = "b" if found.prefers_b > found.prefers_a else "a"
    verdict = Badge(f"Prefers {winner}", "good") if is_clear else Badge("No preference", "caution")
    rows = [("all lists", "", found), *((one.dimension, one.value, one.preference) for one in payload.slices)]
    steps = [
        ("users with credit", found.prefers_a + found.prefers_b + found.ties),
        ("who chose a side", found.prefers_a + found.prefers_b),
    ]
    return Story(
        title="Interleaving of rankers a and b",
        verdict=verdict,
        headline=_headline(found, is_clear=is_clear),
        facts=(
            Fact("lists", numbers.count(payload.lists)),
            Fact("prefer a", numbers.count(found.prefers_a), "users"),
            Fact("prefer b", numbers.count(found.prefers_b), "users"),
            Fact("ties", numbers.count(found.ties), "users"),
            Fact("p", numbers.p_value(found.p_value), "exact sign test"),
        ),
        lead=forest(
            "Share of b among users who chose",
            [
                Effect(f"{name} {value}".strip(), one.share_b, one.low, one.high, _tone(one))
                for name, value, one in rows
                if one.share_b is not None
            ],
            is_percent=True,
            is_signed=False,
            unit="the dashed line is no preference",
            reference=0.5,
        )
        if found.share_b is not None
        else None,
        sections=(
            Section(
                "Preference",
                (
                    f"A {payload.credit} is credited to the team that placed the item, as the served list "
                    f"says; those on items without a team ({numbers.count(found.clicks_without_team)}) earn "
                    "nothing. Each user counts once, for the team with more credit.",
                ),
                (funnel("From credit to choice", steps),),
                (
                    Table(
                        "Users who prefer either ranker",
                        (
                            *text_columns("dimension", "value"),
                            *number_columns("a", "b", "ties", "share of b", "interval", "p"),
                        ),
                        tuple((name, value, *_cells(one)) for name, value, one in rows),
                    ),
                    Table(
                        "Places in the lists",
                        (Column("team"), Column("items placed", is_number=True)),
                        tuple((team, numbers.count(count)) for team, count in payload.places.items()),
                    ),
                ),
            ),
        ),
    )


def _headline(found: Preference, *, is_clear: bool) -> str:
    if found.share_b is None:
        return "Nobody chose: there is no credited outcome, or every user is tied."
    words = "a preference" if is_clear else "which chance explains"
    return (
        f"{numbers.percent(found.share_b)} of the users who chose prefer b ({numbers.count(found.prefers_b)} "
        f"against {numbers.count(found.prefers_a)}), {words}; interval {numbers.percent(found.low)} to "
        f"{numbers.percent(found.high)}."
    )


def _tone(found: Preference) -> Tone:
    return "good" if found.low > 0.5 else "bad" if found.high < 0.5 else "plain"


def _cells(found: Preference) -> tuple[str, ...]:
    return (
        numbers.count(found.prefers_a),
        numbers.count(found.prefers_b),
        numbers.count(found.ties),
        numbers.percent(found.share_b) if found.share_b is not None else "",
        f"{numbers.percent(found.low)} to {numbers.percent(found.high)}",
        numbers.p_value(found.p_value),
    )
