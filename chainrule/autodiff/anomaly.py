"""Finding the operation that made the first NaN or infinity."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.primitives.shape import Pad
from chainrule.primitives.trace import users_line
from chainrule.state import current_state


@dataclass(frozen=True)
class Anomaly:
    """An operation that made a NaN or an infinity from finite numbers.

    Attributes:
        operation: the primitive's name.
        path: of the module that was running, with the block behind a stroke; "" outside of modules.
        module: the name of its class; "" in the backward pass, where only the path is known.
        value: the first entry that is not finite, and `place` where it is.
        count, size: how many entries are not finite, and how many there are.
        inputs: for each array that went in its shape, its least and its largest entry.
        line: the file and the line of the user's code that asked for it, where that is known.
    """

    operation: str
    path: str
    module: str
    value: float
    place: tuple[int, ...]
    count: int
    size: int
    inputs: tuple[tuple[tuple[int, ...], float, float], ...]
    line: tuple[str, int] | None = None

    def __str__(self) -> str:
        seen = "; ".join(f"{shape} from {least:.6g} to {largest:.6g}" for shape, least, largest in self.inputs)
        number = "input was" if len(self.inputs) == 1 else "inputs were"
        return (
            f"{self.operation} made {self.value} in {self.count} of {self.size} entries, the first at "
            f"{list(self.place)}; its {number} finite: {seen}."
        )


class AnomalyError(ChainruleError, FloatingPointError, RuntimeError):
    """An operation made a NaN or an infinity from finite numbers. The message names it and shows its inputs.

    Attributes:
        anomaly: the same as data; None where no operation is to blame.
    """

    def __init__(self, message: str = "", anomaly: Anomaly | None = None) -> None:
        super().__init__(message)
        self.anomaly = anomaly


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


def watch(primitive: Any, inputs: list[Any], result: Any, line: tuple[str, int] | None = None) -> None:
    """Raise AnomalyError if a result has a NaN or infinity and no input has.

    What a pad puts around is there on purpose: −∞ where the largest of a window is taken.
    """
    if primitive is Pad:
        return
    for array in result if isinstance(result, list | tuple) else [result]:
        if not is_finite(array) and all(is_finite(x) for x in inputs):
            found = _anomaly(primitive, inputs, array, line or users_line())
            raise AnomalyError(str(found), found)


def _anomaly(primitive: Any, inputs: list[Any], array: Any, line: tuple[str, int] | None) -> Anomaly:
    state = current_state()
    places = np.argwhere(~np.isfinite(array))
    first = tuple(places[0].tolist())
    seen = tuple((tuple(x.shape), float(x.min()), float(x.max())) for x in inputs if x.size)
    return Anomaly(
        primitive.name, state.path, state.module or "", float(array[first]), first, len(places), array.size, seen, line
    )


def is_finite(array: Any) -> bool:
    """Whether no entry is a NaN or an infinity; whole numbers never are."""
    return array.dtype.kind in "iub" or bool(np.isfinite(array).all())
