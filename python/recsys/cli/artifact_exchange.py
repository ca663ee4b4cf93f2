"""``recsys artifact import|export|pack``: artifacts from and for other programs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from recsys.cli.artifact_build import NO_INPUT, InputOptions, build_input, show_report
from recsys.cli.console import JsonFlag, print_json, progress
from recsys.contracts.errors import RecsysError, UsageError

Catalog = Annotated[Path | None, Parameter(help="The catalog (default: `catalog.rsa` beside the artifact).")]


def import_(
    paths: Annotated[list[Path], Parameter(negative="", help="JSON artifacts of one kind.")],
    *,
    out: Path,
    catalog: Catalog = None,
    skip_unknown: Annotated[
        bool, Parameter(negative="", help="Leave out items that the catalog does not have.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Turn JSON artifacts into one that can be served.

    `content_sim` becomes a catalog with its tags; the others become signals. Without a catalog one is
    made of the items that the documents name. Several `popularity` documents, each of a segment, become
    one signal.

    Parameters
    ----------
    out
        The file to write.
    """
    from recsys._native import Catalog as MappedCatalog
    from recsys.artifacts.import_json import Imported, import_catalog, import_signal
    from recsys.artifacts.json_documents import JsonArtifact
    from recsys.pipelines.build.request import refuse_overwriting

    documents = [JsonArtifact(path) for path in paths]
    refuse_overwriting(out, paths)
    out.parent.mkdir(parents=True, exist_ok=True)
    written: list[Imported] = []
    if all(document.header.artifact_type == "content_sim" for document in documents):
        written.append(import_catalog(documents, out))
    else:
        beside = catalog or out.with_name("catalog.rsa")
        if not beside.exists():
            written.append(import_catalog(documents, beside))
        mapped = MappedCatalog.open(str(beside))
        written.append(import_signal(documents, mapped, out, skip_unknown=skip_unknown))
    if json:
        print_json(written)
        return
    for one in written:
        print(f"{one.kind}: {one.path}, {one.bytes:,} bytes, {one.entries:,} entries, sha256 {one.sha256}")
        if one.unknown_items:
            print(f"{one.unknown_items:,} items left out that the catalog does not have")


def export(
    path: Path,
    *,
    out: Path,
    catalog: Catalog = None,
    tenant: Annotated[str | None, Parameter(help="The tenant, when the artifact does not tell.")] = None,
    surface: Annotated[str | None, Parameter(help="The surface, when the artifact does not tell.")] = None,
    segment: Annotated[str | None, Parameter(help="Of popularity: the segment.")] = None,
) -> None:
    """Turn an artifact into JSON, or into a Parquet table when the name of `--out` ends in .parquet.

    JSON is for popularity (one segment), cooc, implicit and session_seq (by user) signals, and of a
    catalog it holds the items' tags. The Parquet table (key, item_id, score) is for any signal; `pack`
    reads it back. A session index (session_knn) has neither form.

    Parameters
    ----------
    path
        The catalog or signal.
    out
        The file to write.
    """
    from recsys._native import Catalog as MappedCatalog
    from recsys._native import SessionIndex
    from recsys.artifacts.export_json import export_catalog, export_signal
    from recsys.artifacts.inspect import open_artifact
    from recsys.pipelines.build.pack import unpack_signal
    from recsys.pipelines.build.request import refuse_overwriting

    artifact = open_artifact(path)
    if isinstance(artifact, SessionIndex):
        raise UsageError(f"{path}: a session index is searched and has no lists to export; build it anew")
    refuse_overwriting(out, [path])
    out.parent.mkdir(parents=True, exist_ok=True)
    is_table = out.suffix == ".parquet"
    if isinstance(artifact, MappedCatalog):
        if is_table:
            raise UsageError("--out: a catalog has no table of scores; give a name that ends in .json")
        export_catalog(artifact, out, tenant=tenant, surface=surface)
        print(f"content_sim: {out}, {artifact.n_items:,} items with their tags")
        return
    mapped = MappedCatalog.open(str(catalog or path.with_name("catalog.rsa")))
    if is_table:
        print(f"{artifact.kind}: {out}, {unpack_signal(artifact, mapped, out):,} rows")
        return
    header = export_signal(artifact, mapped, out, tenant=tenant, surface=surface, segment=segment)
    print(f"{artifact.kind}: {out}, {header.tenant}/{header.surface}, segment {header.segment or 'default'}")


def pack(
    paths: Annotated[list[Path], Parameter(negative="", help="Tables of key, item_id and score.")],
    *,
    kind: Annotated[str, Parameter(help="popularity, cooc, session_seq, content_sim or implicit.")],
    out: Path,
    catalog: Catalog = None,
    key_type: Annotated[
        Literal["segment", "item", "user"] | None, Parameter(help="What keys are (default: as of the kind).")
    ] = None,
    start: Annotated[datetime | None, Parameter(help="First moment of the interactions behind it.")] = None,
    end: Annotated[datetime | None, Parameter(help="Last moment of the interactions behind it.")] = None,
    reading: InputOptions = NO_INPUT,
    json: JsonFlag = False,
) -> None:
    """Make a signal from scores that any other engine has computed.

    Parameters
    ----------
    out
        The file to write.
    """
    from recsys._native import Catalog as MappedCatalog
    from recsys.pipelines.build.pack import KEY_TYPES, pack_signal
    from recsys.pipelines.build.request import Window

    if kind not in KEY_TYPES:
        raise UsageError(f"--kind {kind}: one of {', '.join(KEY_TYPES)}")
    if (start is None) != (end is None):
        raise UsageError("--start and --end go together")
    window = None if start is None or end is None else Window(_utc(start), _utc(end))
    beside = catalog or out.with_name("catalog.rsa")
    if not beside.is_file():
        raise RecsysError(f"{beside}: no such catalog; name it with --catalog")
    with progress() as begin:
        given = build_input(paths, out, reading, begin, catalog=beside)
        report = pack_signal(
            MappedCatalog.open(str(beside)),
            given,
            out,
            kind=kind,
            key_type=key_type or KEY_TYPES[kind],
            window=window,
        )
    show_report(report, as_json=json)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
