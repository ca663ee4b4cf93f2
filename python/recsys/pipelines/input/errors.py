"""What can be wrong with an input as a whole; a single bad row is data, not an error."""

from __future__ import annotations

from recsys.contracts.errors import RecsysError


class InputError(RecsysError):
    """An input that cannot be read: a missing, foreign or damaged file, a missing column, a wrong mapping."""


class TooManyBadRowsError(InputError):
    """More rows are bad than the limit allows."""
