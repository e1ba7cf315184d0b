"""How far vectors are apart, and what angle is between them."""

from __future__ import annotations

import numpy as np

from chainrule.autodiff.composite import composite
from chainrule.devices import CPU
from chainrule.errors import ShapeError
from chainrule.functions.creation import tensor
from chainrule.functions.linalg import vector_norm
from chainrule.functions.promotion import common_shape, expand_to, need_tensor, promote
from chainrule.functions.statistics import distances
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x₁·x₂ / (max(‖x₁‖, ε)·max(‖x₂‖, ε)) along `dim`: 1 for the same direction, −1 for opposite ones.

    The inputs broadcast against each other; the result has no dimension `dim`.

    >>> import chainrule
    >>> cosine_similarity(chainrule.tensor([[1.0, 0.0], [3.0, 4.0]]), chainrule.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1.0000, 0.8000])
    """
    a, b = promote(need_tensor(x1, "cosine_similarity"), need_tensor(x2, "cosine_similarity"))
    shape = common_shape([tuple(a.shape), tuple(b.shape)])
    a, b = expand_to(a, shape), expand_to(b, shape)  # `dim` counts in the common shape, and sums run over all of it
    first, second = (vector_norm(x, dim=dim, keepdim=True) for x in (a, b))
    return _cosine(a, b, first, second, dim, eps)


@composite
def _cosine(a: Tensor, b: Tensor, length_a: Tensor, length_b: Tensor, dim: int, eps: float) -> Tensor:
    return ((a / length_a.clamp(min=eps)) * (b / length_b.clamp(min=eps))).sum(dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x₁ − x₂ + ε‖ₚ along the last dimension, of (…, D) and (…, D), which broadcast. ε keeps the gradient finite.

    >>> import chainrule
    >>> pairwise_distance(chainrule.tensor([[0.0, 0.0]]), chainrule.tensor([[3.0, 4.0]]))
    tensor([5.0000])
    """
    a, b = need_tensor(x1, "pairwise_distance"), need_tensor(x2, "pairwise_distance")
    return vector_norm(a - b + eps, p, dim=-1, keepdim=keepdim)


def pdist(input: Tensor, p: float = 2) -> Tensor:
    """The distances of all pairs of rows of (N, D): N·(N − 1)/2 of them, row 0 with 1, 2, … first.

    The gradient at distance 0 is 0. Raises ShapeError for other than two dimensions, ValueError for p < 0.

    >>> import chainrule
    >>> pdist(chainrule.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    x = need_tensor(input, "pdist")
    if x.ndim != 2:
        raise ShapeError(f"pdist takes rows (N, D), got {tuple(x.shape)}.")
    if not p >= 0:
        raise ValueError(f"pdist: p is not negative, got {p}.")
    first, second = (tensor(places, device=CPU) for places in np.triu_indices(x.shape[0], 1))  # by the size alone
    return distances(x.index_select(0, first) - x.index_select(0, second), p)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """x / max(‖x‖ₚ, ε) along `dim`: vectors of length 1.

    >>> import chainrule
    >>> normalize(chainrule.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    x = need_tensor(input, "normalize")
    result = x / vector_norm(x, p, dim=dim, keepdim=True).clamp(min=eps)
    return result if out is None else out.copy_(result)


class CosineSimilarity(Module):
    """The cosine of the angle between two inputs along `dim`; see `functional.cosine_similarity`.

    >>> import chainrule
    >>> CosineSimilarity()(chainrule.tensor([[3.0, 4.0]]), chainrule.tensor([[0.0, 1.0]]))
    tensor([0.8000])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """See the class."""
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The distance of two inputs along the last dimension; see `functional.pairwise_distance`.

    >>> import chainrule
    >>> PairwiseDistance()(chainrule.tensor([[0.0, 0.0]]), chainrule.tensor([[3.0, 4.0]]))
    tensor([5.0000])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """See the class."""
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


__all__ = [
    "CosineSimilarity",
    "PairwiseDistance",
    "cosine_similarity",
    "normalize",
    "pairwise_distance",
    "pdist",
]
