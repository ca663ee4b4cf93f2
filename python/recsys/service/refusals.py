"""The errors of the parts behind the API, as problems of the API."""

from __future__ import annotations

from recsys.artifacts.errors import (
    ManifestError,
    PublishConflictError,
    RegistryUnreachableError,
    ReleaseNotFoundError,
)
from recsys.contracts.errors import ArtifactError, RecsysError
from recsys.contracts.problems import ProblemCode
from recsys.control.store import (
    ControlError,
    CorruptStoreError,
    NotFoundError,
    StoreUnavailableError,
    VersionMismatchError,
)
from recsys.service.problems import ProblemError

RETRY_AFTER_S = 5

# The first that an error is an instance of counts. A handler that knows better raises the problem itself.
_CODES: tuple[tuple[type[RecsysError], ProblemCode], ...] = (
    (VersionMismatchError, ProblemCode.VERSION_MISMATCH),
    (PublishConflictError, ProblemCode.VERSION_MISMATCH),
    (NotFoundError, ProblemCode.TENANT_NOT_FOUND),
    (ReleaseNotFoundError, ProblemCode.CONFIG_NOT_FOUND),
    (ManifestError, ProblemCode.ARTIFACT_INCOMPATIBLE),
    (ArtifactError, ProblemCode.ARTIFACT_INCOMPATIBLE),
    (RegistryUnreachableError, ProblemCode.OVERLOADED),
    (StoreUnavailableError, ProblemCode.OVERLOADED),
    (CorruptStoreError, ProblemCode.INTERNAL),
    (ControlError, ProblemCode.INVALID_REQUEST),
)


def as_problem(error: RecsysError) -> ProblemError | None:
    """Return the problem that tells ``error``, or ``None`` for one that is a failure of the service."""
    if isinstance(error, ProblemError):
        return error
    for kind, code in _CODES:
        if isinstance(error, kind):
            if code == ProblemCode.INTERNAL:
                return None
            is_temporary = code == ProblemCode.OVERLOADED
            headers = [("retry-after", str(RETRY_AFTER_S))] if is_temporary else None
            return ProblemError(code, str(error), headers=headers)
    return None
