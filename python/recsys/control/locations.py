"""Where a control store is: a folder of this host, or a PostgreSQL database for several hosts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recsys.control.keys import SECRET_FILE
from recsys.control.lmdb_store import LmdbStore
from recsys.control.lmdb_truncation import DATA_FILE
from recsys.control.store import ControlError, CorruptStoreError, Store

SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True)
class StoreLocation:
    """A folder with the secret of the API keys; the store is in it too, unless ``url`` names a database."""

    secret_folder: Path
    url: str | None = None

    def open_store(self) -> Store:
        """Open or create the store; raises :class:`ControlError`."""
        if self.url is None:
            self._refuse_emptied()
            return LmdbStore(self.secret_folder)
        if not self.url.startswith(SCHEMES):
            raise ControlError("the store's URL is not a PostgreSQL URL (postgresql://HOST/DATABASE)")
        try:
            from recsys.control.postgres_store import PostgresStore  # noqa: PLC0415  an extra
        except ImportError as error:
            raise ControlError(
                f"a store on PostgreSQL needs the extra: pip install 'recsys[postgres]' ({error})"
            ) from error
        try:
            self.secret_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ControlError(f"{self.secret_folder}: cannot be made: {error.strerror}") from error
        return PostgresStore(self.url)

    def exists(self) -> bool:
        """Whether the folder has a store; of a database nothing is asked, it is taken to be there."""
        return self.url is not None or (self.secret_folder / DATA_FILE).exists()

    def _refuse_emptied(self) -> None:
        """Raise ``CorruptStoreError`` for an empty file beside a secret, which is made after the store."""
        file = self.secret_folder / DATA_FILE
        if (self.secret_folder / SECRET_FILE).exists() and file.is_file() and not file.stat().st_size:
            raise CorruptStoreError(f"{file}: empty, and was not: restore the store from a backup")

    def __repr__(self) -> str:
        return f"StoreLocation({str(self.secret_folder)!r}, {'a database' if self.url else 'in it'})"
