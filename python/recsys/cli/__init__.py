"""The ``recsys`` command: one module per command group, which parse and print and leave the work to the packages."""
