"""What the commands about releases share: which registry, the audit entry, versions for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from recsys.cli.console import print_warning
from recsys.cli.store_options import WHERE, Where, actor, control_plane

if TYPE_CHECKING:
    from recsys.artifacts.cache import ArtifactCache
    from recsys.artifacts.registry import Moving, Registry
    from recsys.control.plane import ControlPlane

Version = Annotated[str, Parameter(help="A version, or the first six or more characters of it.")]
Comment = Annotated[str, Parameter(name="--comment", help="Why; kept in the audit trail.")]


@Parameter(name="*")
@dataclass(frozen=True)
class RegistryOptions:
    """Where releases are, and where changes of them are audited."""

    registry: Annotated[
        str | None,
        Parameter(
            help="A folder, file:// or s3://bucket/prefix (default: registry/ in the data folder).",
            env_var="RECSYS_REGISTRY",
        ),
    ] = None
    where: Where = WHERE

    def open(self) -> Registry:
        """Return the registry; nothing is asked of it yet."""
        from recsys.artifacts.registry import open_registry

        return open_registry(self.registry or self.where.data_dir / "registry")

    def cache(self) -> ArtifactCache:
        """Return the cache of artifacts, shared with a service on the same data folder."""
        from recsys.artifacts.cache import ArtifactCache

        return ArtifactCache(self.where.data_dir / "cache" / "artifacts")

    @contextmanager
    def trail(self, of: SurfaceOptions) -> Iterator[Trail]:
        """Open the audit trail before anything changes: a change that it could not take is not made."""
        from recsys.control.release_moves import settle_moves

        with control_plane(self.where, create=True) as plane:
            settle_moves(plane, self.open(), of.tenant, of.surface)
            yield Trail(plane, of)

    def settle(self, of: SurfaceOptions) -> None:
        """Enter into the audit trail a move that was stopped before its entry; what fails is a warning."""
        from recsys.control.release_moves import settle_moves
        from recsys.control.store import ControlError

        if not self.where.location.exists():
            return
        try:
            with control_plane(self.where) as plane:
                settle_moves(plane, self.open(), of.tenant, of.surface)
        except ControlError as error:
            print_warning(f"whether the audit trail has all releases is not known: {error}")


@dataclass(frozen=True)
class Trail:
    """The audit trail of a surface's releases."""

    plane: ControlPlane
    of: SurfaceOptions

    def entering(self, action: str, comment: str) -> Moving:
        """Return what a move of the pointer goes through, so that the trail has it even when it is killed."""
        from recsys.control.release_moves import entering

        of = self.of
        return entering(
            self.plane, of.tenant, of.surface, actor=actor(), action=f"release.{action}", comment=comment
        )

    def record(self, action: str, before: str | None, after: str | None, comment: str) -> None:
        """Enter what moved no pointer.

        Raises ``ControlError``, which says that it was done, when that fails.
        """
        from recsys.control.store import ControlError

        try:
            self.plane.record_change(
                self.of.tenant,
                actor=actor(),
                action=f"release.{action}",
                subject=self.of.surface,
                before=before,
                after=after,
                comment=comment,
            )
        except ControlError as error:
            raise ControlError(
                f"{action} of {after} for {self.of.tenant}/{self.of.surface} is done, "
                f"but is missing from the audit trail: {error}"
            ) from error


@Parameter(name="*")
@dataclass(frozen=True)
class SurfaceOptions:
    """Whose releases are meant."""

    tenant: Annotated[str, Parameter(help="The tenant.")]
    surface: Annotated[str, Parameter(help="The surface.")]


IN_DATA_FOLDER = RegistryOptions()


def short(version: str | None) -> str | None:
    """Return the characters of a version that tables show."""
    return None if version is None else version[:12]
