"""One batch ahead: the next one is made and begins its way to a device while the loop works with the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from chainrule.data.passes import LocalPass, WorkerPass


def one_ahead(batches: LocalPass | WorkerPass, send: Callable[[Any], Any]) -> Iterator[Any]:
    """The batches of a loader's pass, each after `send`, which is called one batch earlier.

    The loader's state counts what was given, not what is held here. An error of the data set comes in its turn.

    >>> from chainrule.data import DataLoader
    >>> loader, sent = DataLoader([1, 2, 3], batch_size=None), []
    >>> for number in one_ahead(iter(loader), lambda x: sent.append(x) or x):
    ...     print(number, sent, loader.state_dict()["batches"])
    1 [1, 2] 1
    2 [1, 2, 3] 2
    3 [1, 2, 3] 3
    """
    position = batches.position

    def read() -> tuple[Any, Exception | None]:
        try:
            return send(next(batches)), None
        except Exception as error:  # StopIteration too
            return None, error

    batch, error = read()
    while error is None:
        following = read()
        finished, position.finished = position.finished, False  # the loop has still to work with the last batch
        position.ahead = int(not finished)
        yield batch
        position.finished, position.ahead = finished, 0
        batch, error = following
    if not isinstance(error, StopIteration):
        raise error
