"""``recsys config``: a tenant's ranking configuration."""

from __future__ import annotations

from recsys.cli.documents import document_app

app = document_app("config")
