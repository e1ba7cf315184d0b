"""Searching hyper-parameters: spaces, searches that can be resumed and shared, and what mattered."""

from chainrule.tune.search import Search, tune
from chainrule.tune.space import Choice, Float, Int

__all__ = ["Choice", "Float", "Int", "Search", "tune"]
