"""Reports: same inputs, same bytes; nothing of the logs as markup; a page that stands alone."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from recsys.contracts.errors import EvaluationError
from recsys.contracts.reports import (
    GateResult,
    InputFile,
    MetricValue,
    OfflineReport,
    PairedComparison,
    Report,
    ReportWarning,
    SliceMetrics,
    SystemMetrics,
)
from recsys.evaluation.report.charts import Effect, forest, funnel, histogram, running, slices
from recsys.evaluation.report.html import render_html
from recsys.evaluation.report.markdown import plain, render_markdown
from recsys.evaluation.report.offline import offline_story
from recsys.evaluation.report.provenance import new_report
from recsys.evaluation.report.story import Badge, Column, Fact, Section, Story, Table
from recsys.evaluation.report.svg import printable, short
from recsys.evaluation.report.verdicts import effect_badge, gates_in_words
from recsys.evaluation.report.write import write_report

HOSTILE = "<script>alert('x')</script> $\\frac{ | [a](b) & \" \x07日本"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks nesting, and gathers elements with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.ids = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.seen if name == tag]


def header(**changes):
    report = new_report(
        "experiment",
        cases=1200,
        inputs=[InputFile("exposures", f"logs/{HOSTILE}.jsonl", 12, "a" * 64)],
        settings={"variant": HOSTILE, "salt": "s3cret", "from": "https://me:pw@host/x.jsonl?sig=abc"},
        gates=[GateResult("primary_metric", "pass", HOSTILE)],
        warnings=[ReportWarning("few_users", HOSTILE)],
        seed=3,
        now=datetime(2026, 1, 2, tzinfo=UTC),
        run_id="run-1",
    )
    return msgspec.structs.replace(report, **changes)


@cache
def charts(label=HOSTILE):
    days = [f"2026-01-{day:02d}" for day in range(1, 12)]
    spans = [(-1.0, 2.0)] * 11
    return (
        forest("Effects", [Effect(label, 0.1, -0.1, 0.3), Effect("b", 1, 0.5, 1.5, "good", (0.2, 1.8))]),
        running("Over time", days, [0.5] * 11, spans, [(0.0, 1.0)] * 11),
        slices("By slice", [label, "b"], {label: [0.1, 0.2], "c": [0.2, 0.3]}, is_percent=True),
        histogram("Weights", [0.0, 0.5, 1.0], [3, 9], label="weight", counted="rows", mark=1.0),
        funnel("Joins", [("outcomes", 10), (label, 7)]),
    )


def story():
    table = Table(
        HOSTILE, (Column(HOSTILE), Column("n", is_number=True)), ((HOSTILE, "1"), (Badge("bad", "bad"), "2"))
    )
    return Story(
        HOSTILE,
        Badge("Hold", "caution"),
        HOSTILE,
        facts=(Fact("users", "12", HOSTILE),),
        lead=charts()[0],
        sections=(Section(HOSTILE, (HOSTILE,), charts()[1:], (table,)),),
    )


def test_the_same_inputs_give_the_same_bytes_but_for_time_and_run(tmp_path):
    first = write_report(tmp_path / "a", header(), story())
    later = header(run_id="run-2", created_at=datetime(2027, 5, 5, tzinfo=UTC))
    second = write_report(tmp_path / "b", later, story())
    for one, other in zip(
        (first.json, first.markdown, first.html), (second.json, second.markdown, second.html), strict=True
    ):
        text = other.read_text().replace("run-2", "run-1").replace("2027-05-05", "2026-01-02")
        assert one.read_text() == text
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]


def test_json_comes_back_as_the_report(tmp_path):
    made = write_report(tmp_path, header(), story())
    assert msgspec.json.decode(made.json.read_bytes(), type=Report) == header()


def test_hostile_strings_are_text_everywhere():
    page = Page(render_html(header(), story()))
    assert not page.all("script")
    assert len(page.ids) == len(set(page.ids))
    assert any("alert" in str(attributes.get("aria-label")) for attributes in page.all("div"))
    markdown = render_markdown(header(), story())
    assert "<script" not in markdown
    assert "[a](b)" not in markdown
    for row in markdown.splitlines():
        if row.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", row)) in (3, 5)


@settings(max_examples=60)
@given(st.text())
def test_markdown_text_stays_on_one_line_without_markup(text):
    written = plain(text)
    assert "\n" not in written
    assert "<" not in written
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|]", written.replace("\\\\", ""))


@settings(max_examples=12, deadline=None)
@given(st.text(max_size=40))
def test_any_label_gives_an_svg_that_parses(label):
    svg = forest("Effects", [Effect(label, 0.1, -0.1, 0.3)]).svg
    assert "".join(ET.fromstring(svg).itertext())
    assert len(short(label)) <= 30


def test_page_loads_nothing_holds_no_secret_and_says_what_it_rests_on():
    text = render_html(header(), story())
    assert "s3cret" not in text
    assert "pw@" not in text
    assert "sig=abc" not in text
    assert "https://host/x.jsonl" in text
    assert "a" * 64 in text
    page = Page(text)
    for _, attributes in page.seen:
        for name in ("src", "href", "xlink:href", "srcset", "data"):
            assert attributes.get(name, "#")[0] == "#"
    assert not page.all("link")
    assert all(inner.startswith("#") for inner in re.findall(r"url\(([^)]*)\)", text))


def test_page_can_be_read_without_seeing_it():
    page = Page(render_html(header(), story()))
    assert [len(page.all(tag)) for tag in ("main", "nav", "header", "footer", "h1")] == [1] * 5
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(head["scope"] == "col" for head in page.all("th"))
    drawings = page.all("svg")
    assert len(drawings) == 5
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert all(name in page.ids for name in drawing["aria-labelledby"].split())
    for link in page.all("a"):
        assert link["href"].removeprefix("#") in page.ids


def _contrast(first, second):
    def light(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    one, other = sorted((light(first), light(second)))
    return (other + 0.05) / (one + 0.05)


def test_text_has_contrast_in_light_and_in_dark():
    css = render_html(header(), story())
    palettes = re.findall(r":root \{([^}]*--ink[^}]*)\}", css)
    assert len(palettes) >= 2
    for palette in palettes[:2]:
        colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", palette))
        for ground in ("paper", "wash"):
            for name in ("ink", "muted", "accent", "second", "good", "bad", "caution", "plain"):
                assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def test_a_chart_says_in_words_what_it_shows_and_uses_the_colours_of_the_page():
    for chart in charts("treatment"):
        assert printable(chart.description) in "".join(ET.fromstring(chart.svg).itertext())
        assert "var(--accent)" in chart.svg
        assert not re.findall(r"#[0-9a-f]{6}\b", chart.svg)
    assert "treatment +0.1 (\N{MINUS SIGN}0.1 to +0.3)" in charts("treatment")[0].description


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match="file"):
        write_report(tmp_path / "file", header(), story())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], "not_configured"),
        (["pass", "fail"], "fail"),
        (["pass", "not_configured"], "pass"),
        (["pass", "hold", "not_reached"], "fail"),
    ],
)
def test_the_verdict_is_that_of_the_gates(verdicts, expected):
    gates = [GateResult("g", verdict, "") for verdict in verdicts]
    report = new_report("ope", cases=1, inputs=[], settings={}, gates=gates)
    assert report.summary.executive.decision == expected


def test_offline_story_leads_with_the_first_comparison():
    metrics = [MetricValue("ndcg", 10, 0.31, 900), MetricValue("mrr", None, 0.2, 900)]
    payload = OfflineReport(
        precision_divides_by="list_length",
        relevance="click",
        systems=[SystemMetrics("baseline", metrics), SystemMetrics("candidate", metrics)],
        slices=[
            SliceMetrics(system, {"surface": surface}, metrics)
            for system in ("baseline", "candidate")
            for surface in ("home", HOSTILE)
        ],
        slices_below_minimum=2,
        comparison=[PairedComparison("ndcg", 10, 0.3, 0.32, 0.02, 0.01, 0.03, 0.95, 0.0004, 0.0008, 500)],
    )
    report = header(mode="offline", offline=payload)
    got = offline_story(report, payload)
    assert got.headline.startswith("ndcg@10 goes from 0.3 to 0.32: +0.02")
    assert "leaves out 0" in got.headline
    assert got.lead is not None
    assert not Page(render_html(report, got)).all("script")
    assert "2 slices are too small to show" in render_markdown(report, got)
    assert got.verdict == Badge("Better", "good")
    assert got.facts[1].note == "candidate (candidate) against baseline (baseline)"
    by_chance = replace(payload.comparison[0], p_value_holm=0.3)
    told = offline_story(report, replace(payload, comparison=[by_chance]))
    assert told.verdict.text == "No difference shown"
    assert "by Holm" in told.headline


def test_offline_chart_shows_metrics_of_different_units_on_one_axis():
    rows = [
        PairedComparison("ndcg", 10, 0.05, 0.0525, 0.0025, 0.0005, 0.0045, 0.95, 0.01, 0.02, 500),
        PairedComparison("novelty", 10, 8.0, 10.0, 2.0, 1.6, 2.4, 0.95, 0.0, 0.0, 500),
        PairedComparison("popularity_bias", 10, 0.4, 0.3, -0.1, -0.12, -0.08, 0.95, 0.0, 0.0, 500),
        PairedComparison("recall", 10, 0.0, 0.1, 0.1, 0.05, 0.15, 0.95, 0.0, 0.0, 500),
    ]
    systems = [SystemMetrics(name, [MetricValue("ndcg", 10, 0.05, 900)]) for name in ("a", "b")]
    payload = OfflineReport(
        precision_divides_by="list_length",
        relevance="click",
        systems=systems,
        slices=[],
        slices_below_minimum=0,
        comparison=rows,
    )
    got = offline_story(header(mode="offline", offline=payload), payload)
    assert got.lead is not None
    assert "ndcg@10 +5.00 % (+1.00 % to +9.00 %)" in got.lead.description
    assert "novelty@10 +25.0 % (+20.0 % to +30.0 %)" in got.lead.description
    assert "recall" not in got.lead.description  # of 0 there is no percentage; the table has it
    compared = {row[0]: row[-1] for section in got.sections for row in section.tables[-1].rows}
    assert compared["popularity_bias@10"] == Badge("better", "good")
    assert compared["recall@10"] == Badge("better", "good")
    without = offline_story(header(mode="offline", offline=payload), replace(payload, comparison=rows[3:]))
    assert without.lead is None


@pytest.mark.parametrize(
    ("gates", "low", "high", "expected"),
    [
        (["pass"], -0.1, 0.2, "No difference shown"),
        (["pass"], 0.1, 0.2, "Better"),
        ([], -0.2, -0.1, "Worse"),
        (["pass", "hold"], 0.1, 0.2, "Inconclusive"),
        (["hold", "fail"], 0.1, 0.2, "Fail"),
    ],
)
def test_a_page_is_headed_by_what_was_found_once_its_gates_pass(gates, low, high, expected):
    report = header(gates=[GateResult("p95_latency", verdict, "") for verdict in gates])
    badge = effect_badge(report, low, high)
    assert badge.text == expected
    assert (badge.tone == "good") == (expected == "Better")
    assert effect_badge(report, -high, -low, lower_is_better=True) == badge
    assert ("p95 latency fails" in gates_in_words(report)) == ("fail" in gates)
