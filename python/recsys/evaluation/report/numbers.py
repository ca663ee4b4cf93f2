"""How numbers are written in a report, so that one quantity looks the same in text, table and chart."""

from __future__ import annotations

from collections.abc import Callable

MINUS = "\N{MINUS SIGN}"


def count(value: int) -> str:
    """Return a whole number with thousands separated."""
    return f"{value:,}"


def number(value: float) -> str:
    """Return four significant digits, with thousands separated from 10,000 up."""
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return _minus(text)


def signed(value: float) -> str:
    """Return a difference: three significant digits with a sign; 0 has none."""
    return _minus(f"{value:+.3g}") if value else "0"


def percent(value: float) -> str:
    """Return a share (0..1) in percent: three significant digits, at least one after the point."""
    scaled = value * 100
    digits = 1 if abs(scaled) >= 10 else 2 if abs(scaled) >= 1 or scaled == 0 else 3
    return _minus(f"{scaled:.{digits}f}") + " %"


def signed_percent(value: float) -> str:
    """Return a relative difference in percent with its sign."""
    return ("+" if value > 0 else "") + percent(value)


def writer(*, is_percent: bool, is_signed: bool) -> Callable[[float], str]:
    """Return what writes a number of this kind."""
    if is_percent:
        return signed_percent if is_signed else percent
    return signed if is_signed else number


def interval(low: float, high: float, *, is_percent: bool = False) -> str:
    """Return ``low to high``."""
    write = signed_percent if is_percent else signed
    return f"{write(low)} to {write(high)}"


def p_value(value: float) -> str:
    """Return a p-value; below 0.001 the digits no longer matter."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def confidence(level: float) -> str:
    """Return a level (0..1) in percent, without digits that say nothing."""
    return f"{level * 100:g} %"


def tick(value: float, *, is_percent: bool, is_signed: bool) -> str:
    """Return a number for an axis, with no more digits than it needs."""
    shown = value * 100 if is_percent else value
    text = f"{shown:+.4g}" if is_signed and shown else f"{shown:.4g}"
    return _minus(text) + (" %" if is_percent else "")


def byte_size(value: int) -> str:
    """Return bytes in the largest unit that keeps the number at 1 or above."""
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
