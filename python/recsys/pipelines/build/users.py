"""Users of interactions as the builders take them: 32 bytes of a pseudonym a row."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys._native import Pseudonyms
from recsys.contracts.errors import BuildError
from recsys.pipelines.build.interactions import Rows

PSEUDONYM_BYTES = 32
_PSEUDONYM = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Users:
    """How user ids become pseudonyms: by the tenant's ``salt``, or as they are when that is ``None``.

    With ``keeps_pseudonyms``, ids that look like pseudonyms are taken as they are even with a salt.
    """

    salt: bytes | None
    keeps_pseudonyms: bool = False

    def keep(self, rows: Rows) -> tuple[Rows, npt.NDArray[np.uint8]]:
        """Return the rows that have a user, and their pseudonyms (``(n_rows, 32)``).

        Raises :class:`BuildError` when ids should be pseudonyms and one is not.
        """
        if "user_id" not in rows.strings.column_names:
            return rows.having("user_id"), np.zeros((0, PSEUDONYM_BYTES), dtype=np.uint8)
        column: pa.ChunkedArray[pa.StringScalar] = rows.strings["user_id"]
        encoded = column.combine_chunks().dictionary_encode()
        known = np.flatnonzero(encoded.is_valid().to_numpy(zero_copy_only=False))
        ids = [str(user) for user in encoded.dictionary.to_pylist()]
        table = np.frombuffer(b"".join(self._bytes_of(ids)), dtype=np.uint8).reshape(-1, PSEUDONYM_BYTES)
        codes = encoded.indices.fill_null(0).to_numpy()[known]
        return rows.take(known), np.ascontiguousarray(table[codes])

    def _bytes_of(self, ids: list[str]) -> list[bytes]:
        if self.salt is None:
            wrong = next((user for user in ids if _PSEUDONYM.fullmatch(user) is None), None)
            if wrong is not None:
                raise BuildError(
                    f"user_id {wrong[:80]!r} is no pseudonym (64 lower-case hex digits): "
                    "the tenant's salt is needed to make it one"
                )
            return [bytes.fromhex(user) for user in ids]
        pseudonyms = Pseudonyms(self.salt)
        kept = _PSEUDONYM.fullmatch if self.keeps_pseudonyms else _never
        return [bytes.fromhex(user if kept(user) else pseudonyms.of(user)) for user in ids]


def _never(_: str) -> None:
    return None
