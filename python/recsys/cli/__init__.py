"""The ``recsys`` command: one module per group; commands parse and print, the packages do the work."""
