"""Where interactions come from, other than files: brought to local files, from which they are ingested."""
