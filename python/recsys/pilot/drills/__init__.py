"""Drills: each breaks something on a scratch copy, waits for the signal, and follows the runbook."""
