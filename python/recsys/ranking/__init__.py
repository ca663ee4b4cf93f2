"""From configuration, rules and artifacts to an immutable snapshot that ranks."""
