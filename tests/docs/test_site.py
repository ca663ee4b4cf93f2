"""The site has every page, its index names every page, and pages that are made from the code are current."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def pages_of(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for inner in nav.values():
            yield from pages_of(inner)
    elif isinstance(nav, list):
        for inner in nav:
            yield from pages_of(inner)


def test_the_navigation_has_every_page_once() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    there = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    assert sorted(pages_of(nav)) == there


def test_the_index_leads_to_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)#]+\.md)", index)) | {"README.md"}
    # Runbooks and decisions have an index of their own.
    indexed = {"runbooks", "adr"}
    there = {
        path.relative_to(DOCS).as_posix()
        for path in DOCS.rglob("*.md")
        if path.parent.name not in indexed or path.name == "README.md"
    }
    assert linked == there


def images_of(page: str) -> set[str]:
    """Return what a page shows: Markdown images, by reference too, and ``<img>`` and ``<source>``."""
    inline = re.findall(r"!\[[^\]]*\]\(\s*<?([^)\s>]+)", page)
    named = dict(re.findall(r"^\[([^\]]+)\]:\s*(\S+)", page, re.MULTILINE))
    by_name = [named[name] for name in re.findall(r"!\[[^\]]*\]\[([^\]]+)\]", page) if name in named]
    tags = re.findall(r"<(?:img|source)\b[^>]*?\bsrc(?:set)?=[\"']([^\"']+)", page)
    return {target for target in (*inline, *by_name, *tags) if "://" not in target}


@pytest.mark.parametrize(
    "page",
    ["![a](x/y.png)", '![a](x/y.png "title")', "![a][b]\n\n[b]: x/y.png", '<img alt="" src="x/y.png">'],
)
def test_images_of_a_page_are_found(page: str) -> None:
    assert images_of(page + "\n[no image](z.png) ![remote](https://example.com/z.png)") == {"x/y.png"}


def test_every_image_is_there_and_shown() -> None:
    pages = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    shown = {
        (page.parent / image.partition("#")[0]).resolve(): page.relative_to(ROOT).as_posix()
        for page in pages
        for image in images_of(page.read_text(encoding="utf-8"))
    }
    assert [(page, image.name) for image, page in shown.items() if not image.is_file()] == []
    assert set(shown) == {path for path in (DOCS / "images").iterdir() if path.is_file()}


def test_generated_pages_are_current() -> None:
    # In a process of its own: what other tests have imported may change the order of commands.
    command = [sys.executable, str(ROOT / "tests" / "docs" / "reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
