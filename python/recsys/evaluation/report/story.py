"""What a reader sees, before it is Markdown or HTML: texts, tables and charts; nothing here knows a mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "bad", "caution", "plain"]


@dataclass(frozen=True, slots=True)
class Badge:
    """A word that carries a judgement; the tone colours it, the word alone must say it."""

    text: str
    tone: Tone = "plain"


Cell = str | Badge


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; numbers stand to the right."""

    title: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption; every row has one cell per column."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A static drawing: ``description`` says in words what it shows, ``svg`` is trusted markup of ours."""

    title: str
    description: str
    svg: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One number of the first screen, with a word on what it is."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of the page; paragraphs come first, then charts, then tables."""

    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """The page: the first screen (verdict, headline, facts, lead chart) and the sections below it."""

    title: str
    verdict: Badge
    headline: str
    facts: tuple[Fact, ...] = ()
    lead: Chart | None = None
    sections: tuple[Section, ...] = ()


def text_columns(*titles: str) -> tuple[Column, ...]:
    """Return columns of text."""
    return tuple(Column(title) for title in titles)


def number_columns(*titles: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(title, is_number=True) for title in titles)
