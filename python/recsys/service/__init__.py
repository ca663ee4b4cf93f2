"""The HTTP service: one concept a module, put together in ``app``."""
