"""Figures of matplotlib as inline SVG that follows the page's colours, in light and in dark.

Colours are drawn as marker values and replaced by CSS variables, text stays text in the page's font, and
there is neither date nor random id in the markup: the same figure gives the same bytes.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from contextlib import AbstractContextManager
from html import escape
from typing import TYPE_CHECKING, cast

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK, MUTED, LINE = "#0a0b0c", "#1a1b1c", "#2a2b2c"
ACCENT, SECOND, GOOD, BAD, PAPER = "#3a3b3c", "#4a4b4c", "#5a5b5c", "#6a6b6c", "#7a7b7c"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    ACCENT: "var(--accent)",
    SECOND: "var(--second)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    PAPER: "var(--paper)",
}
WIDTH_IN = 7.4
"""Width of every chart in inches; at 72 points an inch it is drawn for a column of some 730 pixels."""

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "legend.fontsize": 9.0,
    "path.simplify": False,
}


def style(name: str) -> AbstractContextManager[None]:
    """Return a context under which a chart called ``name`` is drawn, whatever the settings outside of it."""
    settings: dict[str, object] = {key: mpl.rcParamsDefault[key] for key in mpl.rcParamsDefault}
    settings |= _STYLE | {"svg.hashsalt": name}
    return mpl.rc_context(cast("dict[RcKeyType, object]", settings))


def short(label: str, length: int = 30) -> str:
    """Return a label fit for a chart: one line, no control characters, at most ``length`` characters."""
    plain = printable(label)
    return plain if len(plain) <= length else plain[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def printable(text: str) -> str:
    """Return ``text`` with every control character and lone surrogate, which XML refuses, made a space."""
    return "".join(" " if unicodedata.category(sign).startswith("C") else sign for sign in text).strip()


def to_svg(figure: Figure, title: str, description: str) -> str:
    """Return the figure as one ``<svg>`` element with a title and a description for those who cannot see it.

    Ids begin with a digest-free name made of ``title``, which must be unique on its page.
    """
    drawn = io.StringIO()
    with warnings.catch_warnings():
        # The browser draws the text, in a font that has what matplotlib's own lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(
            drawn,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    markup = drawn.getvalue()
    markup = markup[markup.index("<svg") :]
    prefix = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "chart"
    markup = re.sub(r'<g id="[^"]*"', "<g", markup)
    markup = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", markup)
    markup = re.sub(r"font-family: [^;\"]*;? ?", "", markup)
    markup = re.sub(r"font: ([0-9.]+px) [^;\"]*", r"font-size: \1", markup)
    markup = re.sub(r"#[0-9a-f]{6}", lambda found: _VARIABLES.get(found[0], found[0]), markup)
    markup = re.sub(r"\s*<defs>\s*<style type=\"text/css\">[^<]*</style>\s*</defs>", "", markup, count=1)
    size = re.search(r'viewBox="([^"]*)"', markup)
    if size is None:
        raise AssertionError("matplotlib wrote an SVG without a viewBox")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{size[1]}" role="img" aria-labelledby="{prefix}-title {prefix}-desc">'
        f'<title id="{prefix}-title">{escape(printable(title))}</title>'
        f'<desc id="{prefix}-desc">{escape(printable(description))}</desc>'
    )
    return head + re.sub(r"^<svg[^>]*>", "", markup, count=1).strip()
