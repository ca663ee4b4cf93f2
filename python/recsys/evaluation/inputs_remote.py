"""Logs at URLs: objects are found and copied to a local folder by ``obstore``.

``s3://``, ``gs://`` and ``az://`` name one object, a folder of objects, or a pattern (``*`` within a name,
``**`` across folders); ``https://`` and ``http://`` name one object. Credentials and endpoints come from the
environment, as each cloud's tools have it (``AWS_ENDPOINT_URL``, …).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from recsys.contracts.errors import EvaluationError
from recsys.contracts.store_errors import explain_store_error
from recsys.evaluation.logs import ENDINGS

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_WEB = ("http", "https")
_MAGIC = re.compile(r"[*?]")
_CLIENT: ClientConfig = {"timeout": timedelta(minutes=10), "connect_timeout": timedelta(seconds=20)}
_RETRY: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(minutes=2)}
_CHUNK_BYTES = 8 << 20


def is_url(path: str) -> bool:
    """Return whether ``path`` is an address (``s3://``, ``https://``…) and not a local path."""
    return "://" in path


def without_secrets(url: str) -> str:
    """Return ``url`` without user name, password, query and fragment, which may hold credentials."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def copy_objects(url: str, role: str, folder: Path) -> dict[str, Path]:
    """Copy what ``url`` stands for below ``folder`` and return the name of each object with its copy.

    Raises EvaluationError, naming ``role`` and the URL without its secrets, when there is no object, its name
    has no ending of a log, or it cannot be fetched.
    """
    shown = without_secrets(url)
    parts = urlsplit(url)
    try:
        if parts.scheme in _WEB:
            root, key = urlunsplit((parts.scheme, parts.netloc, "", "", "")), parts.path.lstrip("/")
            query = f"?{parts.query}" if parts.query else ""
            # The store of one web object has the whole URL: a query would be escaped as part of a key.
            store = from_url(f"{root}/{key}{query}", client_options=_web_client(root), retry_config=_RETRY)
            objects = {key: ""}
        else:
            root = f"{parts.scheme}://{parts.netloc}"
            store = from_url(root, retry_config=_RETRY)
            objects = {key: key for key in _find_keys(store, unquote(parts.path).lstrip("/"))}
        if not objects:
            raise EvaluationError(f"{role}: no log file at {shown} (looked for {', '.join(ENDINGS)})")
        made: dict[str, Path] = {}
        for key, location in sorted(objects.items()):
            name = f"{without_secrets(root)}/{key}"
            if not key.endswith(ENDINGS):
                raise EvaluationError(f"{role}: {name} does not end with one of {', '.join(ENDINGS)}")
            made[name] = _copy(store, location, folder / f"{len(made):06d}-{Path(key).name}")
    except (BaseError, OSError, ValueError) as error:
        reason = explain_store_error(error)
        for secret in (parts.query, parts.netloc.rpartition("@")[0]):
            reason = reason.replace(secret, "…") if secret else reason
        raise EvaluationError(f"{role}: {shown} cannot be fetched: {reason}") from error
    return made


def _web_client(root: str) -> ClientConfig:
    return {**_CLIENT, "allow_http": root.startswith("http://")}


def _find_keys(store: ObjectStore, path: str) -> Iterable[str]:
    if path.endswith(ENDINGS) and not _MAGIC.search(path):
        return [path]
    # Up to the last folder before the first wildcard: object stores list by whole folders.
    literal = _MAGIC.split(path, maxsplit=1)[0]
    prefix = literal.rpartition("/")[0] if _MAGIC.search(path) else path.rstrip("/")
    keys = [str(entry["path"]) for batch in obstore.list(store, prefix or None) for entry in batch]
    if _MAGIC.search(path):
        pattern = re.compile(_translate(path))
        return [key for key in keys if pattern.fullmatch(key)]
    below = f"{prefix}/" if prefix else ""
    return [
        key
        for key in keys
        if key.endswith(ENDINGS)
        and not any(part.startswith((".", "_")) for part in key.removeprefix(below).split("/"))
    ]


def _translate(pattern: str) -> str:
    """Return the regular expression of a pattern whose ``*`` and ``?`` stay within a folder, ``**`` not."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(parts.get(token) or re.escape(token) for token in re.split(r"(\*\*/|\*\*|\*|\?)", pattern))


def _copy(store: ObjectStore, location: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for chunk in obstore.get(store, location).stream(min_chunk_size=_CHUNK_BYTES):
            file.write(chunk)
    return target
