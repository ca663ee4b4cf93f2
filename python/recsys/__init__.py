"""recsys: a recommender suite that serves, logs, measures, ships and rolls back."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__: str = version("recsys")
