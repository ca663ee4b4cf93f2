"""The report as one HTML file that opens offline; every string of the logs is escaped on its way in."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recsys.contracts.reports import AnyReport
from recsys.evaluation.report.sources import created_at, source_tables
from recsys.evaluation.report.story import Badge, Story


def render_html(report: AnyReport, story: Story) -> str:
    """Return the page. Charts and style sheet are markup of ours and go in as they are; nothing else does."""
    environment = Environment(
        loader=PackageLoader("recsys.evaluation", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    environment.tests["badge"] = lambda value: isinstance(value, Badge)
    environment.filters["trusted"] = Markup
    environment.filters["words"] = lambda name: str(name).replace("_", " ")
    css = files("recsys.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        report=report,
        story=story,
        css=css.strip(),
        provenance=source_tables(report),
        created_at=created_at(report),
    )
