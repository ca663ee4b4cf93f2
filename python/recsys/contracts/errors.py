"""The root of every error that this package raises on purpose."""

from __future__ import annotations


class RecsysError(Exception):
    """An error whose message is for people: it names the field, file or line, and what to do."""


class UsageError(RecsysError):
    """An option whose value cannot be used; the message names the option or shows the value."""


class ArtifactError(RecsysError):
    """A file that is not a sound artifact; the message names the file and the section."""


class BuildError(RecsysError):
    """A builder was given input that it cannot turn into an artifact."""


class ServingError(RecsysError):
    """A request cannot be ranked with the snapshot at hand (for example a corrupt list in a mapped file)."""


class EvaluationError(RecsysError):
    """Logs, metrics or a plan that cannot be evaluated as asked; the message names field, arm or metric."""
