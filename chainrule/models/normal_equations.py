"""Least squares on data that is larger than memory: the normal equations, added up batch by batch.

N samples, D inputs, M targets. The solution (XᵀX)⁻¹XᵀY needs of all samples only XᵀX, (D, D), and XᵀY, (D, M): sums
over samples, so each batch adds its own and may be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ChainruleError, CheckpointError, ShapeError
from chainrule.functions.creation import from_numpy
from chainrule.nn.linear import Linear
from chainrule.tensor import Tensor

_SUMS = ("mean_x", "mean_y", "xx", "xy")


def streamed_least_squares(
    batches: Iterable[tuple[Tensor, Tensor]], bias: bool = True, strength: float = 0.0
) -> Linear:
    """The layer that `models.least_squares` finds (with a strength `models.ridge`), from one pass over batches (X, Y).

    X: (n, D), Y: (n, M), or (n,) for one target. See `NormalEquations`.

    >>> import chainrule
    >>> from chainrule.data import DataLoader, TensorDataset
    >>> data = TensorDataset(chainrule.tensor([[0.0], [1.0], [2.0]]), chainrule.tensor([1.0, 3.0, 5.0]))
    >>> model = streamed_least_squares(DataLoader(data, batch_size=2))
    >>> model.weight.item(), model.bias.item()
    (2.0000, 1.0000)
    """
    equations = NormalEquations()
    for X, Y in batches:
        equations.update(X, Y)
    return equations.solve(bias, strength)


class NormalEquations:
    """XᵀX and XᵀY of all samples seen, in float64, and the linear layer that fits them.

    They are kept about the means, Σ(x − x̄)(x − x̄)ᵀ and Σ(x − x̄)(y − ȳ)ᵀ, together with x̄ and ȳ: with a bias nothing
    else is needed, and inputs far from zero keep their digits. Two parts go together by
    S = S₁ + S₂ + (x̄₁ − x̄₂)(x̄₁ − x̄₂)ᵀ·n₁n₂/(n₁ + n₂).

    The condition number of XᵀX is that of X squared: inputs that nearly depend on each other cost twice the digits
    that they cost in `least_squares`. Memory: (D + M)·D numbers. Source: chapter II.4 and its question on data larger
    than memory; Chan, Golub and LeVeque 1983.

    >>> import chainrule
    >>> X = chainrule.randn(100, 3)
    >>> Y = X @ chainrule.tensor([[1.0], [2.0], [3.0]]) + 4
    >>> equations = NormalEquations()
    >>> for part in (slice(0, 60), slice(60, 100)):
    ...     equations.update(X[part], Y[part])
    >>> equations.count, equations.solve().bias.item()
    (100, 4.0000)
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean_x = self.mean_y = np.zeros(0)
        self.xx = self.xy = np.zeros((0, 0))
        self._dtype: Any = None

    def update(self, X: Tensor, Y: Tensor) -> None:
        """Add a batch: X (n, D), Y (n, M) or (n,). Raises ShapeError for other shapes, or other D and M than before."""
        if X.ndim != 2 or Y.ndim not in (1, 2) or len(X) != len(Y):
            raise ShapeError(f"X is (n, D) and Y (n, M) or (n,); got {tuple(X.shape)} and {tuple(Y.shape)}.")
        if not len(X):
            return
        x, y = X.array.astype(np.float64), Y.array.astype(np.float64).reshape(len(X), -1)
        mean_x, mean_y = x.mean(0), y.mean(0)
        x -= mean_x
        self._add(len(x), {"mean_x": mean_x, "mean_y": mean_y, "xx": x.T @ x, "xy": x.T @ (y - mean_y)})
        self._dtype = self._dtype or X.dtype

    def merge(self, other: NormalEquations) -> Self:
        """Add what another has seen, in another process, say; answers itself."""
        if other.count:
            self._add(other.count, {name: getattr(other, name) for name in _SUMS})
            self._dtype = self._dtype or other._dtype
        return self

    def _add(self, count: int, part: Mapping[str, Any]) -> None:
        if not self.count:
            for name in _SUMS:
                setattr(self, name, part[name])
            self.count = count
            return
        if part["xy"].shape != self.xy.shape:
            raise ShapeError(
                "batches differ: inputs and targets were {} and {}, now they are {} and {}.".format(
                    *self.xy.shape, *part["xy"].shape
                )
            )
        share = count / (self.count + count)
        x, y = part["mean_x"] - self.mean_x, part["mean_y"] - self.mean_y
        weight = self.count * share
        self.xx = self.xx + part["xx"] + weight * np.outer(x, x)
        self.xy = self.xy + part["xy"] + weight * np.outer(x, y)
        self.mean_x, self.mean_y = self.mean_x + x * share, self.mean_y + y * share
        self.count += count

    @no_grad()
    def solve(self, bias: bool = True, strength: float = 0.0) -> Linear:
        """The layer that makes Σ‖Wx + b − y‖² + λ‖W‖² smallest, λ = `strength`, in the type of the first batch's X.

        Where several are equally good, the one with the smallest weights. Raises ValueError for a negative strength,
        and ChainruleError if no sample was seen.
        """
        if not self.count:
            raise ChainruleError("the normal equations have seen no samples; call update(X, Y) first.")
        if not strength >= 0:
            raise ValueError(f"the strength is not negative, got {strength}.")
        xx, xy = self.xx, self.xy
        if not bias:
            xx = xx + self.count * np.outer(self.mean_x, self.mean_x)
            xy = xy + self.count * np.outer(self.mean_x, self.mean_y)
        W = _solve_symmetric(xx, xy, strength)
        layer = Linear(*xy.shape, bias, dtype=self._dtype)
        layer.weight.copy_(from_numpy(W.T.copy()))
        if bias:
            layer.bias.copy_(from_numpy(self.mean_y - self.mean_x @ W))
        return layer

    def state(self) -> dict[str, Any]:
        """The count and the sums, from which `load_state` goes on."""
        return {"count": self.count, **{name: np.array(getattr(self, name)) for name in _SUMS}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state()` gave. Raises CheckpointError if something is missing."""
        missing = {"count", *_SUMS} - set(state)
        if missing:
            raise CheckpointError(f"a state of NormalEquations has no {', '.join(sorted(missing))}.")
        self.count = int(state["count"])
        for name in _SUMS:
            setattr(self, name, np.array(state[name], np.float64))


def _solve_symmetric(A: Any, B: Any, strength: float) -> Any:
    """(A + λI)⁻¹B by the eigenvectors of A, without the directions in which A + λI is zero to rounding."""
    values, vectors = np.linalg.eigh(A)
    values = values + strength
    smallest = values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
    keep = values > smallest
    return vectors[:, keep] @ ((vectors[:, keep].T @ B) / values[keep, None])
