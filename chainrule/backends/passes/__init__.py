"""What rewrites graphs: each pass is a function from a graph to one of the same meaning, in a file of its own.

>>> from chainrule.backends.passes import PASSES
>>> [rewrite.__name__ for rewrite in PASSES]
['expand', 'simplify']
"""

from __future__ import annotations

from collections.abc import Callable

from chainrule.backends.passes.expand import expand
from chainrule.backends.passes.simplify import simplify
from chainrule.backends.passes.winograd import winograd
from chainrule.program.graph import Graph

Pass = Callable[[Graph], Graph]

#: In the order in which they run before code is made.
PASSES: tuple[Pass, ...] = (expand, simplify)
#: Behind these, where arithmetic need not be exact (`exactness.py`).
FASTER: tuple[Pass, ...] = (winograd,)


def rewritten(graph: Graph, check: bool = False, exact: bool = False) -> Graph:
    """The graph after all passes. With `check` each result is looked at: a GraphError says which pass broke what."""
    for rewrite in (*PASSES, *FASTER * (not exact)):
        graph = rewrite(graph)
        if check:
            try:
                graph.check()
            except AssertionError as error:
                error.add_note(f"after the pass {rewrite.__name__}")
                raise
    return graph


__all__ = ["FASTER", "PASSES", "Pass", "expand", "rewritten", "simplify", "winograd"]
