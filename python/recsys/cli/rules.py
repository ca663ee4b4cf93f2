"""``recsys rules``: a tenant's merchandising rules."""

from __future__ import annotations

from recsys.cli.documents import document_app

app = document_app("rules")
