"""Releases of other implementations, whose artifacts are JSON: turned into mapped ones in the cache.

What is made is named by what it was made of, so it is made once for a host, and again only if that changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from recsys._native import Catalog
from recsys.artifacts.atomic_files import make_folder, read_pieces
from recsys.artifacts.cache_files import FilePool, Lease
from recsys.artifacts.import_json import import_catalog, import_signal
from recsys.artifacts.json_documents import JsonArtifact, is_json_artifact
from recsys.contracts.errors import ArtifactError
from recsys.contracts.manifest import CATALOG, Manifest

_RECIPE = "json-1"
"""Counts the changes of what is made from the same documents."""


class JsonConverter:
    """Makes catalogs and signals of JSON artifacts in a pool of files."""

    def __init__(self, folder: Path, pool: FilePool) -> None:
        self._scratch = folder / "scratch"
        self._pool = pool

    def convert(self, manifest: Manifest, leases: Mapping[str, Lease]) -> dict[str, Lease]:
        """Return the leases with mapped artifacts in place of JSON ones, a catalog among them.

        ``content_sim`` gives its tags to the catalog, and has no artifact of its own. The leases given
        are closed where they are not returned. Raises :class:`ArtifactError` naming the URI of a document
        that is wrong.
        """
        documents = {
            kind: JsonArtifact(lease.path, manifest.current[kind])
            for kind, lease in leases.items()
            if is_json_artifact(lease.path)
        }
        if not documents:
            return dict(leases)
        _refuse_misplaced(documents)
        converted = {kind: lease for kind, lease in leases.items() if kind not in documents}
        made: dict[str, Lease] = {}
        try:
            if CATALOG not in converted:
                made[CATALOG] = self._catalog(documents)
            catalog = converted.get(CATALOG) or made[CATALOG]
            for kind, document in documents.items():
                if kind != "content_sim":
                    made[kind] = self._signal(document, catalog)
        except BaseException:
            for lease in made.values():
                lease.close()
            raise
        for kind in documents:
            leases[kind].close()
        return converted | made

    def _catalog(self, documents: Mapping[str, JsonArtifact]) -> Lease:
        ordered = [documents[kind] for kind in sorted(documents)]
        return self._make([one.path.name for one in ordered], lambda out: import_catalog(ordered, out))

    def _signal(self, document: JsonArtifact, catalog: Lease) -> Lease:
        def write(out: Path) -> object:
            return import_signal([document], Catalog.open(str(catalog.path)), out, skip_unknown=True)

        return self._make([document.path.name, catalog.path.name], write)

    def _make(self, parts: list[str], write: Callable[[Path], object]) -> Lease:
        digest = hashlib.sha256("\n".join([_RECIPE, *parts]).encode()).hexdigest()
        name = f"{digest}.rsa"
        with self._pool.loading(name):
            if (lease := self._pool.lease(name)) is not None:
                return lease
            make_folder(self._scratch)
            with TemporaryDirectory(dir=self._scratch) as scratch:
                out = Path(scratch) / name
                write(out)
                with self._pool.new_file(out.stat().st_size) as file:
                    file.write(read_pieces(out), name)
                    file.keep(name)
        lease = self._pool.lease(name)
        if lease is None:
            raise ArtifactError(
                f"{self._scratch}: {name} has vanished from the cache; is somebody removing files?"
            )
        return lease


def _refuse_misplaced(documents: Mapping[str, JsonArtifact]) -> None:
    for kind, document in documents.items():
        if document.header.artifact_type != kind:
            raise ArtifactError(
                f"{document.name}: a {document.header.artifact_type}, where {kind} is expected"
            )
