"""What a registry and its readers refuse or cannot do; every message names the place."""

from __future__ import annotations

from recsys.contracts.errors import RecsysError


class RegistryError(RecsysError):
    """Something a registry refuses or cannot do."""


class RegistryUnreachableError(RegistryError):
    """The store of the registry does not answer, or not with what was asked for; trying again may help."""


class ManifestError(RegistryError):
    """A manifest that is not sound, or that names an artifact where none may be read."""


class ReleaseNotFoundError(RegistryError):
    """There is no such release, or no artifact where a release says that it is."""


class PublishConflictError(RegistryError):
    """The pointer has moved since it was read: somebody else has published or rolled back meanwhile."""


class BackwardsError(RegistryError):
    """A release would replace one that is built from later interactions."""
