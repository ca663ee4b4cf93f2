"""``recsys config``: a tenant's ranking configuration."""

from __future__ import annotations

from recsys.cli.console import JsonFlag
from recsys.cli.documents import Comment, Document, Expected, document_app, put_document, read_document
from recsys.cli.store_options import WHERE, Tenant, Where

app = document_app("config")


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
    put_document("config", read_document(file), tenant, comment, expected, where, json=json)
