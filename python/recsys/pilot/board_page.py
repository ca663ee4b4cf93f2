"""A board as one HTML file that opens offline; every string is escaped on its way in."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recsys.pilot.requirements import Board


def render_board(board: Board) -> str:
    """Return the page of a board, in the style of the reports."""
    environment = Environment(
        loader=PackageLoader("recsys", "pilot"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["trusted"] = Markup
    css = files("recsys.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
    return environment.get_template("board.html.j2").render(board=board, css=css.strip())
