"""From files of interactions and items to artifacts."""
