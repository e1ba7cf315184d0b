"""Optimisers that one can watch: a page on which they walk down the functions of `optim.landscapes`."""

from chainrule.explain.descent.page import descent_page

__all__ = ["descent_page"]
