"""Finding the operation that made the first NaN or infinity."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.state import current_state


class AnomalyError(ChainruleError, FloatingPointError, RuntimeError):
    """An operation made a NaN or an infinity from finite numbers. The message names it and shows its inputs."""


class detect_anomaly:  # noqa: N801  (PyTorch's name)
    """Within this block the first operation that makes a NaN or infinity from finite numbers raises, naming itself.

    Forward and backward passes are watched. It looks at every entry of every result, so it is for searching, not
    for training. With `check_nan=False` nothing is watched. Raises AnomalyError.

    >>> import chainrule
    >>> with chainrule.autograd.detect_anomaly():
    ...     chainrule.tensor([2.0, -1.0]).log()
    Traceback (most recent call last):
    chainrule.autodiff.anomaly.AnomalyError: Log made nan in 1 of 2 entries, the first at [1]; ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check = check_nan

    def __enter__(self) -> Self:
        state = current_state()
        self._before = state.observer
        if self._check:
            state.observer = watch
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        current_state().observer = self._before


class set_detect_anomaly(detect_anomaly):  # noqa: N801  (PyTorch's name)
    """The same watch switched on or off at once, and back again at the end of a `with` block.

    >>> import chainrule
    >>> with chainrule.autograd.set_detect_anomaly(False):
    ...     chainrule.tensor(-1.0).log()
    tensor(nan)
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        state = current_state()
        self._before = state.observer
        state.observer = watch if mode and check_nan else None

    def __enter__(self) -> Self:
        return self


def watch(primitive: Any, inputs: list[Any], result: Any) -> None:
    """Raise AnomalyError if a result has a NaN or infinity and no input has."""
    for array in result if isinstance(result, list) else [result]:
        if is_finite(array) or not all(is_finite(x) for x in inputs):
            continue
        places = np.argwhere(~np.isfinite(array))
        first = places[0].tolist()
        seen = "; ".join(f"{x.shape} from {x.min():.6g} to {x.max():.6g}" for x in inputs if x.size)
        number = "input was" if len(inputs) == 1 else "inputs were"
        raise AnomalyError(
            f"{primitive.name} made {array[tuple(first)]} in {len(places)} of {array.size} entries, the first at "
            f"{first}; its {number} finite: {seen}."
        )


def is_finite(array: Any) -> bool:
    """Whether no entry is a NaN or an infinity; whole numbers never are."""
    return array.dtype.kind in "iub" or bool(np.isfinite(array).all())
