"""What a metric is: sums over the samples seen, and a number made from the sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, Self, TypeVar

import numpy as np

from chainrule.errors import CheckpointError

#: What a metric remembers, by name: whole numbers are exact, all others float64.
Sums = dict[str, Any]
Result = TypeVar("Result", covariant=True)


@dataclass(eq=False)
class Metric(Generic[Result]):
    """A number about predictions and targets, exact over everything seen, however it was divided into batches.

    The mean of the means of batches is not the mean: a smaller last batch would weigh as much as the others, and a
    ratio such as the F-score is not an average over batches at all. So a metric keeps sums (mostly counts), and
    divides at the end. A subclass is a dataclass of its settings, and says four things:

        `empty()`                   the sums of no samples
        `summarise(output, target)` the sums of one batch
        `combine(a, b)`             the sums of two parts together; entry by entry a + b unless it says otherwise
        `compute()`                 the number

    Attributes:
        name: what it is called in logs and tables; may be set, to tell two of a kind apart.

    >>> from chainrule.metrics import Accuracy
    >>> accuracy = Accuracy()
    >>> accuracy.update([0, 1, 1, 2], [0, 1, 2, 2])
    >>> accuracy.update([5], [4])
    >>> accuracy.compute(), accuracy
    (0.6, Accuracy(threshold=None, dim=1, ignore_index=-100))
    """

    def __post_init__(self) -> None:
        self.check_settings()
        self.name: str = self.default_name()
        self.sums: Sums = self.empty()

    def check_settings(self) -> None:
        """Raise a ValueError for settings out of their range."""

    def default_name(self) -> str:
        """The name it has unless it is given another."""
        raise NotImplementedError

    def empty(self) -> Sums:
        """The sums of no samples."""
        raise NotImplementedError

    def summarise(self, output: Any, target: Any) -> Sums:
        """The sums of one batch."""
        raise NotImplementedError

    def combine(self, a: Sums, b: Sums) -> Sums:
        """The sums of two parts together."""
        return {name: a[name] + b[name] for name in a}

    def compute(self) -> Result:
        """The number, over everything since the last `reset`; NaN where nothing was seen."""
        raise NotImplementedError

    def update(self, output: Any, target: Any) -> None:
        """Add a batch. Nothing is added if it raises."""
        self.sums = self.combine(self.sums, self.summarise(output, target))

    def reset(self) -> None:
        """Forget everything seen."""
        self.sums = self.empty()

    def merge(self, other: Metric[Any]) -> Self:
        """Add what another metric with the same settings has seen (in another process, say); answers itself.

        Raises ValueError for a metric of another kind or with other settings.
        """
        if type(other) is not type(self) or repr(other) != repr(self):
            raise ValueError(f"metrics are merged that have the same settings; these are {self} and {other}.")
        self.sums = self.combine(self.sums, other.sums)
        return self

    def state(self) -> dict[str, Any]:
        """The sums as plain numbers and NumPy arrays, from which `load_state` goes on."""
        return {name: np.array(x) if isinstance(x, np.ndarray) else x for name, x in self.sums.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state()` gave; numbers may have become arrays of shape () on the way.

        Raises CheckpointError for a state of another metric.
        """
        self.sums = read_state(self.empty(), state, type(self).__name__)

    def settings(self) -> dict[str, Any]:
        """The arguments that make such a metric."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def read_state(empty: Sums, state: Mapping[str, Any], what: str) -> Sums:
    """The sums in a state, each of the kind and number of dimensions that it has in an empty one."""
    if set(state) != set(empty):
        raise CheckpointError(f"a state of {what} has {sorted(empty)}, this one has {sorted(state)}.")
    sums = {}
    for name, default in empty.items():
        wanted, given = np.asarray(default), np.asarray(state[name])
        if given.ndim != wanted.ndim or given.dtype.kind != wanted.dtype.kind:
            raise CheckpointError(
                f"{name} in a state of {what} has {wanted.ndim} dimensions and the type {wanted.dtype}, "
                f"here {given.ndim} and {given.dtype}."
            )
        sums[name] = np.array(given) if isinstance(default, np.ndarray) else given.item()
    return sums


def share(part: float, whole: float) -> float:
    """part / whole, and NaN of nothing."""
    return part / whole if whole else float("nan")
