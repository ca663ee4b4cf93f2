"""The commands that ``config`` and ``rules`` share: show, put, diff, history, roll back, verify."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import JsonFlag, print_json, print_table
from recsys.cli.store_options import WHERE, Tenant, Where, actor, control_plane
from recsys.contracts.errors import RecsysError

if TYPE_CHECKING:
    from recsys.control.versions import DocumentKind

Comment = Annotated[str, Parameter(name="--comment", help="Why; kept in the history and the audit trail.")]
Expected = Annotated[
    str | None, Parameter(name="--expected", help="Refuse unless this version is the current one.")
]
Document = Annotated[Path, Parameter(allow_leading_hyphen=True, help="A JSON file, or - for standard input.")]
Version = Annotated[str | None, Parameter(help="A version of the history; without it the current one.")]


def document_app(kind: DocumentKind) -> cyclopts.App:
    """Return the command group of one kind of document."""
    app = cyclopts.App(name=kind, help=f"Show, change and roll back a tenant's {kind}.")

    @app.command
    def show(
        version: Version = None, /, *, tenant: Tenant, where: Where = WHERE, json: JsonFlag = False
    ) -> None:
        """Print a document as indented JSON; with --json also its version, author, comment and time."""
        import msgspec

        with control_plane(where) as plane:
            stored = plane.document(tenant, kind, version)
        content = msgspec.json.decode(stored.data)
        print_json({"revision": stored.revision, "document": content} if json else content)

    @app.command
    def put(
        file: Document,
        /,
        *,
        tenant: Tenant,
        comment: Comment = "",
        expected: Expected = None,
        where: Where = WHERE,
        json: JsonFlag = False,
    ) -> None:
        """Check a JSON document and make it current."""
        data = read_document(file)
        with control_plane(where) as plane:
            revision = plane.put(tenant, kind, data, author=actor(), comment=comment, expected=expected)
        print_json(revision) if json else print(revision.version)

    @app.command
    def diff(before: str, after: Version = None, /, *, tenant: Tenant, where: Where = WHERE) -> None:
        """Print what changed from one version to another, or to the current one."""
        import msgspec

        with control_plane(where) as plane:
            pair = [plane.document(tenant, kind, version) for version in (before, after)]
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
                (r.number, "*" if r.number == current else "", r.version, r.time, r.author, r.comment)
                for r in revisions
            ],
        )

    @app.command
    def rollback(
        *,
        tenant: Tenant,
        to: Annotated[str | None, Parameter(help="A version of the history; else the one before.")] = None,
        comment: Comment = "",
        expected: Expected = None,
        where: Where = WHERE,
        json: JsonFlag = False,
    ) -> None:
        """Make an earlier version current again."""
        with control_plane(where) as plane:
            revision = plane.roll_back(
                tenant, kind, author=actor(), comment=comment, to=to, expected=expected
            )
        print_json(revision) if json else print(revision.version)

    @app.command
    def verify(file: Document, /) -> None:
        """Check a document without storing it."""
        from recsys.control.versions import check_document

        check_document(kind, read_document(file))
        print("ok")

    return app


def read_document(file: Path) -> bytes:
    """Return the bytes of a file, or of standard input for ``-``."""
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise RecsysError(f"{file}: cannot be read: {error.strerror}") from error
