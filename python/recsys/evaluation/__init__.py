"""Evaluation: from raw logs to measurements and a ship, hold or fail decision; functions over Arrow tables."""
