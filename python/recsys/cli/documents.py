"""The commands that ``config`` and ``rules`` share: list, show, diff, history, roll back, verify."""

from __future__ import annotations

import difflib
import sys
from codecs import BOM_UTF8
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import JsonFlag, print_json, print_table
from recsys.cli.document_versions import SHOWN_PREFIX, current_revision, version_before, whole_version
from recsys.cli.store_options import WHERE, Tenant, Where, actor, control_plane
from recsys.contracts.documents import MAX_DOCUMENT_BYTES
from recsys.contracts.errors import RecsysError

if TYPE_CHECKING:
    from recsys.control.versions import DocumentKind

Comment = Annotated[str, Parameter(name="--comment", help="Why; kept in the history and the audit trail.")]
Expected = Annotated[
    str | None, Parameter(name="--expected", help="Refuse unless this version is the current one.")
]
Document = Annotated[Path, Parameter(allow_leading_hyphen=True, help="A JSON file, or - for standard input.")]
Version = Annotated[
    str | None,
    Parameter(help="A version of the history, or its first characters; without it the current one."),
]


def document_app(kind: DocumentKind) -> cyclopts.App:
    """Return the command group of one kind of document; ``put`` is left to its module."""
    app = cyclopts.App(name=kind, help=f"Show, change and roll back a tenant's {kind}.")

    @app.command(name="list")
    def list_(*, where: Where = WHERE, json: JsonFlag = False) -> None:
        """List every tenant with its current version."""
        _print_current(kind, where, json=json)

    @app.command
    def show(
        version: Version = None, /, *, tenant: Tenant, where: Where = WHERE, json: JsonFlag = False
    ) -> None:
        """Print a document as indented JSON; with --json also its version, author, comment and time."""
        import msgspec

        with control_plane(where) as plane:
            stored = plane.document(tenant, kind, whole_version(plane, tenant, kind, version))
        content = msgspec.json.decode(stored.data)
        print_json({"revision": stored.revision, "document": content} if json else content)

    @app.command
    def diff(
        before: Annotated[str | None, Parameter(help="Else the one that was current before it.")] = None,
        after: Version = None,
        /,
        *,
        tenant: Tenant,
        where: Where = WHERE,
    ) -> None:
        """Print what changed from one version to another, or to the current one."""
        import msgspec

        with control_plane(where) as plane:
            wanted = [whole_version(plane, tenant, kind, version) for version in (before, after)]
            later = plane.document(tenant, kind, wanted[1])
            if before is None:
                wanted[0] = version_before(plane, tenant, kind, later)
            pair = [plane.document(tenant, kind, wanted[0]), later]
        old, new = (msgspec.json.format(stored.data, indent=2).decode().split("\n") for stored in pair)
        old_name, new_name = (stored.revision.version[:12] for stored in pair)
        for line in difflib.unified_diff(old, new, old_name, new_name, lineterm=""):
            print(line)

    @app.command
    def history(*, tenant: Tenant, limit: int = 20, where: Where = WHERE, json: JsonFlag = False) -> None:
        """List the versions, newest first."""
        with control_plane(where) as plane:
            revisions = plane.history(tenant, kind, limit)
            current = plane.document(tenant, kind).revision.number if revisions else None
        if json:
            print_json({"current": current, "revisions": revisions})
            return
        print_table(
            ["number", "current", "version", "time", "author", "comment"],
            [
                (
                    r.number,
                    "*" if r.number == current else "",
                    r.version[:SHOWN_PREFIX],
                    r.time,
                    r.author,
                    r.comment,
                )
                for r in revisions
            ],
        )

    @app.command
    def rollback(
        *,
        tenant: Tenant,
        to: Annotated[
            str | None,
            Parameter(help="A version of the history, or its first characters; else the one before."),
        ] = None,
        comment: Comment = "",
        expected: Expected = None,
        where: Where = WHERE,
        json: JsonFlag = False,
    ) -> None:
        """Make an earlier version current again."""
        with control_plane(where) as plane:
            revision = plane.roll_back(
                tenant,
                kind,
                author=actor(),
                comment=comment,
                to=whole_version(plane, tenant, kind, to),
                expected=whole_version(plane, tenant, kind, expected),
            )
        print_json(revision) if json else print(revision.version)

    @app.command
    def verify(file: Document, /) -> None:
        """Check a document without storing it."""
        from recsys.control.versions import check_document

        check_document(kind, read_document(file))
        print("ok")

    return app


def put_document(
    kind: DocumentKind,
    data: bytes,
    tenant: str,
    comment: str,
    expected: str | None,
    where: Where,
    *,
    json: bool,
) -> None:
    """Make a document current, and print its revision."""
    with control_plane(where) as plane:
        expected = whole_version(plane, tenant, kind, expected)
        revision = plane.put(tenant, kind, data, author=actor(), comment=comment, expected=expected)
    print_json(revision) if json else print(revision.version)


def _print_current(kind: DocumentKind, where: Where, *, json: bool) -> None:
    with control_plane(where) as plane:
        found = {one.tenant_id: current_revision(plane, one.tenant_id, kind) for one in plane.tenants()}
    if json:
        print_json([{"tenant_id": tenant, "revision": revision} for tenant, revision in found.items()])
        return
    print_table(
        ["tenant", "version", "time", "author", "comment"],
        [
            (tenant, r.version[:SHOWN_PREFIX], r.time, r.author, r.comment)
            if r is not None
            else (tenant, "none", None, None, None)
            for tenant, r in found.items()
        ],
    )


def read_document(file: Path) -> bytes:
    """Return the bytes of a file, or of standard input for ``-``; raises :class:`RecsysError`.

    What is over the limit of a document is not read, however much there is.
    """
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise RecsysError(f"{file}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise RecsysError(f"{file}: over {MAX_DOCUMENT_BYTES} bytes, the most that a document may have")
    return data.removeprefix(BOM_UTF8)  # some editors save one
