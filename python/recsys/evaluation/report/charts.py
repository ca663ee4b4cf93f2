"""The charts of a report: effects, a running comparison, slices, weights and the funnel of the joins.

Each takes plain numbers and returns a ``Chart`` with a description in words; titles must be unique on a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from recsys.evaluation.report import numbers
from recsys.evaluation.report.story import Chart, Tone
from recsys.evaluation.report.svg import (
    ACCENT,
    BAD,
    GOOD,
    INK,
    LINE,
    MUTED,
    PAPER,
    SECOND,
    WIDTH_IN,
    short,
    style,
    to_svg,
)

MOST_ROWS = 40
"""Rows that a chart draws; tables beside it have them all."""

_TONES: dict[Tone, str] = {"good": GOOD, "bad": BAD, "caution": MUTED, "plain": ACCENT}


@dataclass(frozen=True, slots=True)
class Effect:
    """One row of a forest plot; the wide interval is drawn thin behind the other, when there is one."""

    label: str
    value: float
    low: float
    high: float
    tone: Tone = "plain"
    wide: tuple[float, float] | None = None


def tone_of(low: float, high: float) -> Tone:
    """Return how an effect reads where more is better: good or bad when its interval leaves out 0."""
    return "good" if low > 0.0 else "bad" if high < 0.0 else "plain"


def forest(
    title: str,
    effects: Sequence[Effect],
    *,
    is_percent: bool = False,
    is_signed: bool = True,
    unit: str = "",
    reference: float = 0.0,
) -> Chart:
    """Return effects with their intervals, one a row, around a line at ``reference``.

    Values that are no differences are written without a sign (``is_signed``).
    """
    drawn = list(effects)[:MOST_ROWS]
    write = numbers.writer(is_percent=is_percent, is_signed=is_signed)
    with style(title):
        figure, axes = _frame(0.9 + 0.36 * len(drawn))
        axes.axvline(reference, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        for row, effect in enumerate(drawn):
            colour = _TONES[effect.tone]
            if effect.wide:
                axes.plot(effect.wide, (row, row), color=colour, linewidth=1.2, solid_capstyle="butt")
            axes.plot((effect.low, effect.high), (row, row), color=colour, linewidth=3.6)
            axes.plot(effect.value, row, "o", color=PAPER, markersize=7.5, markeredgecolor=colour, mew=2.4)
            axes.annotate(
                write(effect.value), (1.015, row), xycoords=("axes fraction", "data"), va="center", color=INK
            )
        _rows(axes, [effect.label for effect in drawn])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(_tick_labels(is_percent=is_percent, is_signed=is_signed))
        if unit:
            axes.set_xlabel(unit)
        words = "; ".join(
            f"{effect.label} {write(effect.value)} ({write(effect.low)} to {write(effect.high)})"
            for effect in drawn
        )
        return _chart(figure, title, f"Effects with intervals: {words}.")


def running(
    title: str,
    days: Sequence[str],
    values: Sequence[float],
    always: Sequence[tuple[float, float]],
    fixed: Sequence[tuple[float, float]],
) -> Chart:
    """Return a difference as data came in, in the interval that holds at every look and the fixed one."""
    with style(title):
        figure, axes = _frame(2.9)
        spots = list(range(len(days)))
        axes.axhline(0.0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        for bounds, alpha, label in ((always, 0.16, "valid at every look"), (fixed, 0.32, "fixed horizon")):
            axes.fill_between(
                spots,
                [low for low, _ in bounds],
                [high for _, high in bounds],
                color=ACCENT,
                alpha=alpha,
                linewidth=0.0,
                label=label,
            )
        axes.plot(spots, values, color=ACCENT, linewidth=2.0, marker="o", markersize=4, label="difference")
        _ticks(axes, days)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(_tick_labels(is_signed=True))
        axes.set_ylabel("difference")
        axes.grid(axis="y", linewidth=0.6)
        axes.legend(loc="upper right", ncols=3)
        low, high = always[-1]
        return _chart(
            figure,
            title,
            f"{len(days)} looks from {days[0]} to {days[-1]}. At the last the difference is "
            f"{numbers.signed(values[-1])}, always-valid interval {numbers.interval(low, high)}.",
        )


def slices(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    errors: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    is_percent: bool = False,
    unit: str = "",
) -> Chart:
    """Return one row per label with a dot per series (two at most are told apart by colour and shape)."""
    write = numbers.percent if is_percent else numbers.number
    kept = list(labels)[:MOST_ROWS]
    with style(title):
        figure, axes = _frame(1.1 + 0.32 * len(kept))
        for index, (name, points) in enumerate(series.items()):
            colour, shape = ((SECOND, "s"), (ACCENT, "o"))[(index + (len(series) == 1)) % 2]
            rows = [row + (index - (len(series) - 1) / 2) * 0.26 for row in range(len(kept))]
            for row, (low, high) in zip(rows, (errors or {}).get(name, ()), strict=False):
                axes.plot((low, high), (row, row), color=colour, linewidth=2.0)
            axes.plot(
                list(points)[: len(kept)],
                rows,
                shape,
                color=colour,
                markersize=6.5,
                linestyle="",
                label=short(name, 24),
            )
        _rows(axes, kept)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(_tick_labels(is_percent=is_percent))
        if unit:
            axes.set_xlabel(unit)
        if len(series) > 1:
            # On the left, where a narrow screen begins.
            axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(series), borderaxespad=0.2)
        parts = [
            f"{label}: " + ", ".join(f"{name} {write(points[row])}" for name, points in series.items())
            for row, label in enumerate(kept)
        ]
        return _chart(figure, title, "; ".join(parts) + ".")


def histogram(
    title: str,
    edges: Sequence[float],
    counts: Sequence[int],
    *,
    label: str,
    counted: str,
    mark: float | None = None,
) -> Chart:
    """Return counts of what is ``counted`` between ``edges`` (one more than counts), with a line at
    ``mark``.
    """
    with style(title):
        figure, axes = _frame(2.4)
        widths = [edges[n + 1] - edges[n] for n in range(len(counts))]
        axes.bar(edges[:-1], counts, widths, align="edge", color=ACCENT, edgecolor=PAPER, linewidth=0.8)
        if mark is not None:
            axes.axvline(mark, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_xlabel(label)
        axes.set_ylabel(counted)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.count(round(value))))
        axes.grid(axis="y", linewidth=0.6)
        most = max(range(len(counts)), key=counts.__getitem__)
        return _chart(
            figure,
            title,
            f"{numbers.count(sum(counts))} {counted} from {numbers.number(edges[0])} to "
            f"{numbers.number(edges[-1])}; most lie between {numbers.number(edges[most])} and "
            f"{numbers.number(edges[most + 1])}.",
        )


def funnel(title: str, steps: Sequence[tuple[str, int]]) -> Chart:
    """Return bars of counts that narrow from step to step; shares are of the first."""
    with style(title):
        figure, axes = _frame(0.5 + 0.36 * len(steps))
        first = max(1, steps[0][1])
        for row, (_, value) in enumerate(steps):
            axes.barh(row, first, height=0.62, color=LINE, alpha=0.45)
            axes.barh(row, value, height=0.62, color=ACCENT)
            axes.annotate(
                f"{numbers.count(value)}  ({numbers.percent(value / first)})",
                (1.015, row),
                xycoords=("axes fraction", "data"),
                va="center",
                color=INK,
            )
        _rows(axes, [label for label, _ in steps])
        axes.grid(visible=False)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        words = "; ".join(f"{label}: {numbers.count(value)}" for label, value in steps)
        return _chart(figure, title, f"{words}.")


def _frame(height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    return figure, figure.add_subplot()


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), [short(label) for label in labels])
    axes.set_ylim(len(labels) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", linewidth=0.6)


def _tick_labels(*, is_percent: bool = False, is_signed: bool = False) -> FuncFormatter:
    def write(value: float, _: object) -> str:
        near = round(value, 12) + 0.0  # ticks are sums of steps, and -0.0 is written as 0
        return numbers.tick(near, is_percent=is_percent, is_signed=is_signed)

    return FuncFormatter(write)


def _ticks(axes: Axes, days: Sequence[str]) -> None:
    step = max(1, -(-len(days) // 8))
    shown = list(range(0, len(days), step))
    axes.set_xticks(shown, [short(days[spot], 12) for spot in shown])


def _chart(figure: Figure, title: str, description: str) -> Chart:
    return Chart(title, description, to_svg(figure, title, description))
