"""Evaluation: from raw logs to measurements and a decision; functions over Arrow tables."""
