"""When API keys were last used: noted in memory on the request path, written to the store now and then."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from recsys.control.plane import ControlPlane

INTERVAL_S = 60.0


class KeyUses:
    """Notes of one process. ``note`` takes no lock and touches no file."""

    def __init__(self, *, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._uses: dict[str, datetime] = {}
        self._written_at = time.monotonic()
        self._mutex = threading.Lock()

    def note(self, key_id: str) -> None:
        """Note that a key was used now."""
        self._uses[key_id] = datetime.now(UTC)

    def write(self, plane: ControlPlane, *, is_due: bool = False) -> int:
        """Write the notes if the interval is over, or ``is_due``; return how many. Not on the request path.

        Raises ``StoreUnavailableError`` as the plane does; the notes are kept for the next time.
        """
        with self._mutex:
            now = time.monotonic()
            if not self._uses or not (is_due or now - self._written_at >= self._interval_s):
                return 0
            uses, self._uses = self._uses, {}
            self._written_at = now
            try:
                plane.record_key_uses(uses)
            except BaseException:
                self._uses = uses | self._uses
                raise
            return len(uses)
