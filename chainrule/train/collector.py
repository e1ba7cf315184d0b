"""Python's collector of garbage does not look through what a long run begins with.

Its full rounds walk over every object of the program, and in a run they find nothing: what is there after the first
steps (model, optimiser, data, compiled steps, libraries) stays to the end.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: After so many steps what is there stays. Counting what is frozen walks over it, which would take a short run longer.
SETTLED = 20


@contextmanager
def collector_passes_by() -> Iterator[Callable[[], None]]:
    """Within this, to be called after each step: from some step on the collector passes by what is there then.

    Where something is frozen already, the program sees to it itself, and nothing is done.

    >>> with collector_passes_by() as after_step:
    ...     for _ in range(SETTLED):
    ...         after_step()
    ...     gc.get_freeze_count() > 0
    True
    """
    steps, frozen = 0, False

    def after_step() -> None:
        nonlocal steps, frozen
        steps += 1
        if steps == SETTLED and not gc.get_freeze_count():
            gc.freeze()
            frozen = True

    try:
        yield after_step
    finally:
        if frozen:
            gc.unfreeze()
