"""Requirements and what was found of them: the shape that status, readiness and ship checklist share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from recsys.pilot.facts import Facts

State = Literal["met", "open", "unknown"]


class Finding(Struct, frozen=True):
    """What a check saw: whether it is enough, the evidence in words, and the command that comes next."""

    state: State
    evidence: str
    next: str = ""


class Requirement(Struct, frozen=True):
    """Something that has to be there; ``is_must`` tells whether the group can be done without it."""

    id: Annotated[str, Meta(pattern="^[a-z0-9-]+$")]
    title: str
    check: Callable[[Facts], Finding]
    is_must: bool = True


class Group(Struct, frozen=True):
    """Requirements that belong together, for example those of a phase."""

    title: str
    requirements: tuple[Requirement, ...]


class Row(Struct, frozen=True):
    """One requirement with its finding."""

    id: str
    title: str
    is_must: bool
    state: State
    evidence: str
    next: str


class BoardGroup(Struct, frozen=True):
    """The rows of a group; ``is_done`` when no must is open or unknown."""

    title: str
    is_done: bool
    rows: list[Row]


class Board(Struct, frozen=True):
    """Every group of a checklist for one surface of a tenant."""

    title: str
    tenant: str
    surface: str
    made_at: datetime
    is_done: bool
    groups: list[BoardGroup]
    troubles: list[str] = []
    """What could not be read while the evidence was gathered."""

    @property
    def exit_code(self) -> int:
        """0 when every must is met, 1 otherwise."""
        return 0 if self.is_done else 1


def make_board(title: str, groups: Sequence[Group], facts: Facts) -> Board:
    """Check every requirement against the facts."""
    filled = [_fill(group, facts) for group in groups]
    return Board(
        title=title,
        tenant=facts.tenant,
        surface=facts.surface,
        made_at=facts.now,
        is_done=all(group.is_done for group in filled),
        groups=filled,
        troubles=list(facts.troubles),
    )


def met_if(condition: bool, evidence: str, next_step: str) -> Finding:
    """Return a met finding, or an open one that says what to do."""
    return Finding("met", evidence) if condition else Finding("open", evidence, next_step)


def counted(count: int, noun: str) -> str:
    """Return a count and what it is of, in the plural unless it is one."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _fill(group: Group, facts: Facts) -> BoardGroup:
    rows: list[Row] = []
    for one in group.requirements:
        found = one.check(facts)
        rows.append(Row(one.id, one.title, one.is_must, found.state, found.evidence, found.next))
    return BoardGroup(group.title, all(row.state == "met" for row in rows if row.is_must), rows)
