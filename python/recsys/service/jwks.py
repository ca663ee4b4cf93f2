"""The public keys of an identity provider, from a file or a URL, read again as they change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import jwt
import structlog

from recsys.contracts.errors import UsageError
from recsys.contracts.problems import ProblemCode
from recsys.service.problems import ProblemError

REFRESH_S = 300.0
"""How long keys are used before they are read again."""

MIN_INTERVAL_S = 10.0
"""How long an unknown key id, or a provider that does not answer, waits for the next try."""

TIMEOUT_S = 3.0
MAX_BYTES = 1024 * 1024
Fetch = Callable[[str], str]


class KeySet:
    """Keys by their id. Threads may share it; one of them reads while the others use what is there."""

    def __init__(
        self, source: str, *, fetch: Fetch | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``source`` is a file or an ``https`` URL; raises :class:`UsageError` for anything else."""
        self._source = source
        self._fetch = fetch or choose_fetch(source)
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._tried_at = -MIN_INTERVAL_S
        self._log = structlog.get_logger()

    def find(self, kid: object) -> jwt.PyJWK | None:
        """Return the key with an id; without an id the only key there is.

        Raises 503 when no keys could be read yet.
        """
        if not (isinstance(kid, str) or kid is None):
            return None
        if kid not in self._keys:
            self._refresh(is_needed=True)
        elif self._read_at is not None and self._clock() - self._read_at >= REFRESH_S:
            self._refresh(is_needed=False)
        if self._read_at is None:
            raise ProblemError(
                ProblemCode.OVERLOADED,
                "the keys that verify tokens cannot be read now",
                headers=[("retry-after", str(round(MIN_INTERVAL_S)))],
            )
        return self._keys.get(kid)

    def _refresh(self, *, is_needed: bool) -> None:
        """Read the keys unless that was tried a moment ago; keeps the ones there are when it fails.

        Waits for another thread that reads them only if ``is_needed``.
        """
        if not self._lock.acquire(blocking=is_needed):
            return
        try:
            if self._clock() - self._tried_at < MIN_INTERVAL_S:
                return
            self._tried_at = self._clock()
            self._keys = read_keys(self._fetch(self._source))
            self._read_at = self._clock()
        except (OSError, jwt.PyJWTError, ValueError) as error:
            self._log.error("token keys cannot be read", source=self._source, error=str(error))
        finally:
            self._lock.release()


def read_keys(text: str) -> dict[str | None, jwt.PyJWK]:
    """Return the usable keys of a JWKS document by id; a single key also stands under ``None``."""
    keys = [key for key in jwt.PyJWKSet.from_json(text).keys if key.public_key_use in (None, "sig")]
    found: dict[str | None, jwt.PyJWK] = {key.key_id: key for key in keys if key.key_id}
    if len(keys) == 1:
        found[None] = keys[0]
    return found


def choose_fetch(source: str) -> Fetch:
    """Return what reads ``source``; raises :class:`UsageError` for a URL that may not be used."""
    parts = urlsplit(source)
    if "://" not in source:
        return _read_file
    if parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    ):
        return _read_url
    raise UsageError(f"--jwt-jwks {source}: give a file or an https URL")


def _read_file(source: str) -> str:
    return Path(source).read_text(encoding="utf-8")


def _read_url(source: str) -> str:
    request = Request(source, headers={"accept": "application/json"})  # noqa: S310  checked by choose_fetch
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            data: bytes = answer.read(MAX_BYTES + 1)
    except URLError as error:
        raise OSError(f"cannot be fetched: {error.reason}") from error
    if len(data) > MAX_BYTES:
        raise ValueError(f"over {MAX_BYTES} bytes")
    return data.decode("utf-8")
