"""recsys: a recommender suite that serves, logs, measures, ships and rolls back."""

from typing import TYPE_CHECKING

__all__ = ["__version__"]

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """Return the version, read when it is asked for: what reads it takes long to import."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version  # noqa: PLC0415

        globals()[name] = found = version("recsys")
        return found
