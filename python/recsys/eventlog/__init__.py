"""Append-only log parts of exposures, outcomes and assignments: write, rotate, read back."""
