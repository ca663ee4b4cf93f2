"""Which version of a document a user means: by its first characters, or the one before another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from recsys.contracts.errors import RecsysError

if TYPE_CHECKING:
    from recsys.control.plane import ControlPlane
    from recsys.control.versions import DocumentKind, Revision, StoredDocument

SHORTEST_PREFIX, SHOWN_PREFIX = 4, 12
"""Characters of a version: the fewest that stand for it, and how many tables show."""


def current_revision(plane: ControlPlane, tenant: str, kind: DocumentKind) -> Revision | None:
    """Return what is current for a tenant, ``None`` before anything was put."""
    from recsys.control.store import NotFoundError

    try:
        return plane.document(tenant, kind).revision
    except NotFoundError:
        return None


def whole_version(plane: ControlPlane, tenant: str, kind: DocumentKind, version: str | None) -> str | None:
    """Return the one version of the history that begins so, or what was given if there is none."""
    if version is None or len(version) < SHORTEST_PREFIX:
        return version
    known = {one.version for one in plane.history(tenant, kind, sys.maxsize)}
    found = sorted(one for one in known if one.startswith(version))
    if len(found) > 1:
        begins = ", ".join(one[:SHOWN_PREFIX] for one in found)
        raise RecsysError(f"version {version} is the beginning of several: {begins}")
    return found[0] if found else version


def version_before(plane: ControlPlane, tenant: str, kind: DocumentKind, later: StoredDocument) -> str:
    """Return the version that a rollback from ``later`` would go to."""
    numbers = {one.number: one.version for one in plane.history(tenant, kind, sys.maxsize)}
    parent = later.revision.parent
    if parent is None:
        raise RecsysError(f"tenant {tenant!r}: there is no {kind} version before {later.revision.version}")
    return numbers[parent]
