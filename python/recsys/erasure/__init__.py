"""Erasure: what is known of one user leaves logs, signals and audit comments."""
