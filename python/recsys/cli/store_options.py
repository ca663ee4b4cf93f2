"""What every command on the control store shares: where it is, who acts, for which tenant."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from recsys.control.locations import StoreLocation
    from recsys.control.plane import ControlPlane

Tenant = Annotated[str, Parameter(name="--tenant", help="The tenant.")]
DataDir = Annotated[
    Path, Parameter(name="--data-dir", help="The data folder; the store is in control/ there.")
]
StoreUrl = Annotated[
    str | None,
    Parameter(
        name="--store",
        env_var="RECSYS_STORE",
        show_env_var=True,
        help="postgresql://HOST/DATABASE: the store is there, and not in the data folder.",
    ),
]
DATA_DIR = Path("data")


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Where the control store is."""

    data_dir: DataDir = DATA_DIR
    store: StoreUrl = None

    @property
    def location(self) -> StoreLocation:
        """The store, and the folder of the secret."""
        from recsys.control.locations import StoreLocation

        return StoreLocation(self.data_dir / "control", self.store or None)


WHERE = Where()


@contextmanager
def control_plane(where: Where, *, create: bool = False) -> Iterator[ControlPlane]:
    """Open the control plane for the length of a command.

    Raises ``ControlError`` for a folder without a store, unless ``create``: a typo makes no new store.
    """
    from recsys.control.plane import ControlPlane
    from recsys.control.store import ControlError

    location = where.location
    if not create and not location.exists():
        raise ControlError(
            f"{location.secret_folder}: there is no control store; name the data folder with --data-dir, "
            "or make a store with: recsys tenant create TENANT"
        )
    plane = ControlPlane.open(where.location)
    try:
        yield plane
    finally:
        plane.close()


def actor() -> str:
    """Return who runs the command, as the audit trail names it: ``cli:<user name>``."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run as a number without a name
        return "cli"
