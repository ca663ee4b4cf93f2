"""The admin console: static files, which call the admin API with the credential of whoever uses them.

They hold nothing of any tenant, so they need no credential, and there is no cookie that another site could
have the browser send. The policy lets the browser run and load these files alone, and forbids markup that
is made of strings.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from recsys.service.transport import Request, Response

_SCRIPT = "text/javascript; charset=utf-8"
CONSOLE_FILES = {
    "console.css": "text/css; charset=utf-8",
    "console.js": _SCRIPT,
    "api.js": _SCRIPT,
    "page.js": _SCRIPT,
    "diff.js": _SCRIPT,
    "preview.js": _SCRIPT,
    "drafts.js": _SCRIPT,
    "json_text.js": _SCRIPT,
    "rules.js": _SCRIPT,
    "config.js": _SCRIPT,
    "experiments.js": _SCRIPT,
    "history.js": _SCRIPT,
    "health.js": _SCRIPT,
}
"""The content type of every file beside the page itself."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = [
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-cache"),
]


def show_console(request: Request) -> Response:
    """The page, or one of its files."""
    name = request.path.removeprefix("/console").removeprefix("/")
    content_type = CONSOLE_FILES.get(name, "text/html; charset=utf-8")
    return Response(200, _read(name or "index.html"), content_type, _HEADERS)


@cache
def _read(name: str) -> bytes:
    return files("recsys.service").joinpath("console_files", name).read_bytes()
