"""The content artifact: which items are alike by their tags, brand, category and title."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from recsys._native import Catalog, build_content_sim
from recsys.pipelines.build.request import BeginStage, BuildReport, metadata_of, unseen


def build_content(
    catalog: Catalog,
    out: Path,
    *,
    top_n: int = 100,
    max_share: float = 0.05,
    threads: int = 0,
    begin: BeginStage = unseen,
) -> BuildReport:
    """Write the content signal of ``catalog`` to ``out``: per item its ``top_n`` likest.

    Terms of more than ``max_share`` (0..1] of the items, and of more than 100, are left out. Raises
    :class:`BuildError` for a parameter out of range.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    begin("comparing items", None)
    with TemporaryDirectory(prefix=".build-", dir=out.parent) as scratch:
        sha256 = build_content_sim(
            str(out),
            catalog,
            top_n=top_n,
            max_share=max_share,
            scratch_dir=scratch,
            threads=threads,
            metadata=metadata_of({}, window=None, rows=catalog.n_items),
        )
    return BuildReport("content_sim", str(out), sha256, out.stat().st_size, catalog.n_items)
