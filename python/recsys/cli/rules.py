"""``recsys rules``: a tenant's merchandising rules."""

from __future__ import annotations

from datetime import UTC, datetime

from recsys.cli.console import JsonFlag, print_warning
from recsys.cli.documents import Comment, Document, Expected, document_app, put_document, read_document
from recsys.cli.releases import IN_DATA_FOLDER, RegistryOptions
from recsys.cli.store_options import Tenant
from recsys.contracts.errors import RecsysError

app = document_app("rules")


@app.command
def put(
    file: Document,
    /,
    *,
    tenant: Tenant,
    comment: Comment = "",
    expected: Expected = None,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Check a JSON document and make it current; warns of targets that no current catalog has."""
    data = read_document(file)
    put_document("rules", data, tenant, comment, expected, at.where, json=json)
    _warn_of_unknown_targets(data, tenant, at)


def _warn_of_unknown_targets(data: bytes, tenant: str, at: RegistryOptions) -> None:
    """Compare the targets with the catalogs; the rules are current by now, whatever is wrong with those."""
    from recsys.artifacts.current_catalogs import borrow_catalogs
    from recsys.contracts.rules import parse_rules
    from recsys.ranking.unknown_targets import find_unknown_targets

    try:
        with borrow_catalogs(at.open(), at.cache, tenant) as catalogs:
            warnings = find_unknown_targets(catalogs, parse_rules(data), datetime.now(UTC))
    except RecsysError as error:
        print_warning(f"the rules are current; their targets were not compared with the catalogs: {error}")
        return
    for warning in warnings:
        print_warning(f"{warning.code}: {warning.detail}")
