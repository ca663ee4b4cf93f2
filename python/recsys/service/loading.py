"""Opens what a worker serves from: the control store, the registry with its local cache, and the log."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from recsys.artifacts.cache import DEFAULT_MAX_BYTES, ArtifactCache
from recsys.artifacts.registry import open_registry
from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane
from recsys.service.fresh_files import FreshFiles
from recsys.service.releases import Releases
from recsys.service.state import State, open_logs
from recsys.service.watcher import Watcher


class Sources(Struct, frozen=True):
    """Where a worker finds things: ``registry`` is a URL or a folder, ``store`` the URL of a database.

    By default both are folders of the data folder.
    """

    data_dir: Path
    registry: str | None = None
    store: str | None = None
    cache_bytes: int = DEFAULT_MAX_BYTES

    @property
    def registry_url(self) -> str:
        """The registry that is meant."""
        return self.registry or str(self.data_dir / "registry")

    @property
    def fresh_folder(self) -> Path:
        """Where fresh popularity lies."""
        return self.data_dir / "cache" / "fresh"


def store_location(sources: Sources) -> StoreLocation:
    """Return where the control store is."""
    return StoreLocation(sources.data_dir / "control", sources.store)


def load_state(sources: Sources) -> tuple[State, Watcher]:
    """Open and compile everything once; call ``start`` of the watcher to keep it up to date.

    Raises an error that says what cannot be opened; a surface that cannot be compiled is told by the state.
    """
    data_dir = sources.data_dir
    registry = open_registry(sources.registry_url)
    cache = ArtifactCache(data_dir / "cache" / "artifacts", sources.cache_bytes)
    plane = ControlPlane.open(store_location(sources))
    state = State(plane, registry, open_logs(data_dir))
    # A store in a folder is always there; it has the salts, so there is no copy of it without need.
    kept_view = data_dir / "cache" / "control-view.json" if sources.store else None
    watcher = Watcher(state, Releases(registry, cache), FreshFiles(sources.fresh_folder), kept_view)
    try:
        watcher.refresh()
    except BaseException:
        state.close()
        raise
    return state, watcher
