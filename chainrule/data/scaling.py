"""Scaling inputs by statistics of the training split, and back.

Fit on the training data alone, then apply the same numbers to every split: statistics that have seen the test data
would tell the model about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from chainrule.cell import TensorCell
from chainrule.data.dataset import Dataset
from chainrule.data.loader import DataLoader
from chainrule.dtypes import get_default_dtype
from chainrule.errors import DataError, ShapeError
from chainrule.functions.creation import from_numpy, make, tensor
from chainrule.random import Generator
from chainrule.tensor import Tensor

#: Samples that are read at once from a data set.
CHUNK = 1024


class _Scaling:
    """y = (x − shift) / scale, with one shift and one scale for each channel or feature.

    Attributes:
        dim: the dimension of channels or features, counted with the batch; None has one statistic for all entries.
        ndim: the dimensions of the data it was fitted to, the batch among them.
    """

    #: The names of the statistics, which `state_dict` holds.
    _statistics: tuple[str, ...] = ()

    def __init__(self, dim: int | None = 1) -> None:
        if dim is not None and dim < 0:
            raise ValueError(f"dim counts from the front, where the batch is dimension 0; got {dim}.")
        self.dim = dim
        self.ndim = 0

    def fit(self, data: Any, part: int | str = 0) -> Self:
        """Take the statistics from training data, batch by batch.

        Args:
            data: a tensor or array (N, …), a `Dataset`, a `DataLoader`, or any iterable of batches.
            part: which part of a batch to look at, if it has several: a position or a key.

        Raises DataError if there is no data or it is not finite, ShapeError if `dim` is none of its dimensions.
        """
        self._begin()
        for batch in _batches_of(data, part):
            if self.dim is not None and self.dim >= batch.ndim:
                raise ShapeError(
                    f"dim={self.dim} is no dimension of a batch {batch.shape}; dim=None takes all entries."
                )
            self.ndim = batch.ndim
            if batch.size:
                with np.errstate(invalid="ignore", over="ignore"):  # `_finish` finds what is not finite
                    self._add(batch, tuple(axis for axis in range(batch.ndim) if axis != self.dim))
        self._finish()
        return self

    def apply(self, x: Any) -> Any:
        """x scaled: a batch, or one sample without its batch dimension. A tensor gives a tensor, an array an array.

        Integers become the default floating-point type. Values outside of the training range stay outside.
        """
        shift, scale = self._shift_and_scale()
        return self._in_kind(x, lambda x: (x - self._like(shift, x)) / self._like(scale, x))

    def invert(self, x: Any) -> Any:
        """The x that `apply` made this of."""
        shift, scale = self._shift_and_scale()
        return self._in_kind(x, lambda x: x * self._like(scale, x) + self._like(shift, x))

    def __call__(self, x: Any) -> Any:
        """`apply(x)`, so that it can stand among transforms."""
        return self.apply(x)

    def state_dict(self) -> dict[str, Tensor]:
        """The statistics as tensors; float64, whatever the data."""
        self._need_fit()
        return {**{name: getattr(self, name) for name in self._statistics}, "ndim": tensor(self.ndim)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the statistics of another one. Raises ValueError if one is missing."""
        missing = {*self._statistics, "ndim"} - set(state_dict)
        if missing:
            raise ValueError(f"{type(self).__name__}: the state lacks {', '.join(sorted(missing))}.")
        for name in self._statistics:
            setattr(self, name, tensor(state_dict[name], dtype="float64"))
        self.ndim = int(state_dict["ndim"])

    def _begin(self) -> None:
        raise NotImplementedError

    def _add(self, batch: np.ndarray, axes: tuple[int, ...]) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _shift_and_scale(self) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _need_fit(self) -> None:
        if not self.ndim:
            raise DataError(f"{type(self).__name__} has no statistics yet: call fit(training data) first.")

    def _like(self, statistic: Tensor, x: Tensor) -> Tensor:
        """A statistic in the type of x, shaped to meet its dimension of channels or features."""
        if x.ndim not in (self.ndim, self.ndim - 1):
            raise ShapeError(
                f"{type(self).__name__} was fitted to batches with {self.ndim} dimensions, so it takes those or single "
                f"samples with {self.ndim - 1}; got shape {tuple(x.shape)}."
            )
        if self.dim is None:
            return statistic.to(x.dtype)
        dim = self.dim - (self.ndim - x.ndim)
        if dim >= 0 and x.shape[dim] != statistic.shape[0]:
            raise ShapeError(
                f"{type(self).__name__} was fitted to {statistic.shape[0]} channels or features, got {x.shape[dim]} "
                f"in shape {tuple(x.shape)}."
            )
        return statistic.to(x.dtype).reshape([-1 if axis == dim else 1 for axis in range(x.ndim)])

    def _in_kind(self, x: Any, function: Any) -> Any:
        self._need_fit()
        given = x if isinstance(x, Tensor) else from_numpy(np.asarray(x))
        result = function(given if given.dtype.is_floating_point else given.to(get_default_dtype()))
        return result if isinstance(x, Tensor) else result.numpy()


class Standardise(_Scaling):
    """y = (x − μ) / σ: mean 0 and standard deviation 1 over the training data.

    The statistics are gathered in one pass over the batches, in float64, by the formula of Chan, Golub and LeVeque
    ("Updating formulae and a pairwise algorithm for computing sample variances", 1979), which does not lose digits
    where the mean is large. σ divides by N. What does not vary is only shifted: σ = 0, and y = x − μ.

    Args:
        dim: statistics for each channel of (N, C, …) or each feature of (N, F) by 1; one pair for all entries by None.

    Attributes:
        mean: μ, float64, (C,) or ().
        std: σ, float64, (C,) or ().

    >>> import chainrule
    >>> train = chainrule.tensor([[1.0, 5.0], [3.0, 5.0]])
    >>> scaling = Standardise().fit(train)
    >>> scaling.mean, scaling.std
    (tensor([2., 5.], dtype=chainrule.float64), tensor([1., 0.], dtype=chainrule.float64))
    >>> scaling.apply(chainrule.tensor([[5.0, 6.0]]))
    tensor([[3., 1.]])
    """

    _statistics = ("mean", "std")
    mean: Tensor
    std: Tensor

    def _begin(self) -> None:
        self._count, self._mean, self._squares = 0, np.float64(0), np.float64(0)

    def _add(self, batch: np.ndarray, axes: tuple[int, ...]) -> None:
        count = int(np.prod([batch.shape[axis] for axis in axes]))
        mean = batch.mean(axes, dtype=np.float64, keepdims=True)
        squares = np.square(batch - mean).sum(axes)
        mean = mean.reshape(squares.shape)
        total, gap = self._count + count, mean - self._mean
        self._mean = self._mean + gap * (count / total)
        self._squares = self._squares + squares + np.square(gap) * (self._count * count / total)
        self._count = total

    def _finish(self) -> None:
        if not self._count:
            raise DataError("Standardise.fit: there is no data.")
        variance = self._squares / self._count
        if not np.isfinite(variance).all():
            raise DataError("Standardise.fit: the training data holds values that are not finite (NaN or infinite).")
        # What rounding alone can make of equal numbers counts as no variance.
        epsilon = np.finfo(np.float64).eps
        rounding = self._count * epsilon * variance + np.square(self._count * self._mean * epsilon)
        self.mean = make(np.asarray(self._mean))
        self.std = make(np.asarray(np.where(variance <= rounding, 0.0, np.sqrt(variance))))

    def _shift_and_scale(self) -> tuple[Tensor, Tensor]:
        self._need_fit()
        return self.mean, self.std + (self.std == 0)


class MinMax(_Scaling):
    """y = low + (high − low) · (x − min) / (max − min): the training data fills [low, high].

    What does not vary becomes `low`.

    Args:
        low, high: the range: 0 and 1, or −1 and 1.
        dim: statistics for each channel of (N, C, …) or each feature of (N, F) by 1; one pair for all entries by None.

    Attributes:
        min, max: float64, (C,) or ().

    >>> import chainrule
    >>> scaling = MinMax(-1, 1).fit(chainrule.tensor([[0.0], [4.0], [1.0]]))
    >>> scaling.apply(chainrule.tensor([[0.0], [3.0]]))
    tensor([[-1.0000],
            [ 0.5000]])
    """

    _statistics = ("min", "max")
    min: Tensor
    max: Tensor

    def __init__(self, low: float = 0.0, high: float = 1.0, dim: int | None = 1) -> None:
        if not low < high:
            raise ValueError(f"MinMax: low must be below high, got {low} and {high}.")
        super().__init__(dim)
        self.low = low
        self.high = high

    def _begin(self) -> None:
        self._min, self._max, self._empty = np.float64(np.inf), np.float64(-np.inf), True

    def _add(self, batch: np.ndarray, axes: tuple[int, ...]) -> None:
        self._min = np.minimum(self._min, batch.min(axes).astype(np.float64))
        self._max = np.maximum(self._max, batch.max(axes).astype(np.float64))
        self._empty = False

    def _finish(self) -> None:
        if self._empty:
            raise DataError("MinMax.fit: there is no data.")
        if not (np.isfinite(self._min).all() and np.isfinite(self._max).all()):
            raise DataError("MinMax.fit: the training data holds values that are not finite (NaN or infinite).")
        self.min, self.max = make(np.asarray(self._min)), make(np.asarray(self._max))

    def _shift_and_scale(self) -> tuple[Tensor, Tensor]:
        self._need_fit()
        spread = self.max - self.min
        scale = (spread + (spread == 0)) / (self.high - self.low)
        return self.min - self.low * scale, scale


def _batches_of(data: Any, part: int | str) -> Iterator[np.ndarray]:
    """The batches of anything that `fit` takes, as arrays."""
    batches: Iterable[Any]
    if isinstance(data, (TensorCell, np.ndarray)):
        array = np.asarray(data)
        batches = (array[start : start + CHUNK] for start in range(0, len(array), CHUNK))
    elif isinstance(data, Dataset):
        batches = DataLoader(data, CHUNK, generator=Generator())
    else:
        batches = data
    for batch in batches:
        chosen = batch if isinstance(batch, (TensorCell, np.ndarray)) else batch[part]
        yield np.asarray(chosen)
