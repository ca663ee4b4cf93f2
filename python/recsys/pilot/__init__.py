"""The pilot: where it stands, what is ready, and the end-to-end run with its drills."""
