"""Embeddings: a learned vector for each word of a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.autodiff.mode import no_grad
from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.creation import empty, ones, zeros
from chainrule.functions.linalg import vector_norm
from chainrule.functions.logic import where
from chainrule.functions.promotion import need_tensor
from chainrule.nn.init import normal_
from chainrule.nn.module import Module
from chainrule.tensor import Parameter, Tensor


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that the integers in `input` name: (…) and (V, D) give (…, D).

    Args:
        padding_idx: a row that gets no gradient; negative counts from the end.
        max_norm: rows that are used and longer than this are shortened to it first, in place.
        norm_type: which norm `max_norm` means.
        scale_grad_by_freq: divide the gradient of each row by how often it occurs in `input`.
        sparse: must be False; gradients are dense.

    Raises DTypeError for an input that is no integers, IndexRangeError for integers outside of [0, V).

    >>> import chainrule
    >>> embedding(chainrule.tensor([1, 1, 0]), chainrule.tensor([[0.5], [2.0]]))
    tensor([[2.0000],
            [2.0000],
            [0.5000]])
    """
    places = _check(input, weight, sparse)
    padding = None if padding_idx is None else _row(padding_idx, weight.shape[0])
    if max_norm is not None:
        _shorten(weight, places, max_norm, norm_type)
    found = weight[places]
    if scale_grad_by_freq:
        flat = places.flatten()
        counts = zeros(weight.shape[0], dtype=weight.dtype).index_add(0, flat, ones(flat.shape[0], dtype=weight.dtype))
        found = _with_gradient_times(found, (1 / counts[places]).unsqueeze(-1))
    if padding is not None:
        found = where((places == padding).unsqueeze(-1), found.detach(), found)
    return found


def _check(input: Tensor, weight: Tensor, sparse: bool) -> Tensor:
    places = need_tensor(input, "embedding").value.array
    if sparse:
        raise ValueError("there are no sparse gradients; leave sparse=False.")
    if weight.ndim != 2:
        raise ShapeError(f"the weight of an embedding is (vocabulary, features), got {tuple(weight.shape)}.")
    if places.dtype.kind not in "iu":
        raise DTypeError(f"embedding takes integers, got {input.dtype}; convert them with .long().")
    if isinstance(places, np.ndarray) and places.size and not 0 <= places.min() <= places.max() < weight.shape[0]:
        wrong = places.min() if places.min() < 0 else places.max()
        raise IndexRangeError(
            f"{wrong} is none of the {weight.shape[0]} rows 0 … {weight.shape[0] - 1} of the embedding."
        )
    return input


def _row(index: int, rows: int) -> int:
    if not -rows <= index < rows:
        raise IndexRangeError(f"padding_idx is a row of the embedding, in [{-rows}, {rows}), got {index}.")
    return index % rows


@no_grad()
def _shorten(weight: Tensor, places: Tensor, max_norm: float, norm_type: float) -> None:
    used = zeros(weight.shape[0], dtype="bool").index_fill(0, places.flatten(), True)
    norms = vector_norm(weight, norm_type, 1)
    factors = where(used & (norms > max_norm), max_norm / (norms + 1e-7), 1.0)
    weight.mul_(factors.unsqueeze(1))


@block
def _with_gradient_times(input: Tensor, factor: Tensor) -> Tensor:
    """The input, with a gradient that is multiplied by something on its way back."""
    return input * 1


@_with_gradient_times.gradient
def _(g: Tensor, factor: Tensor) -> tuple[Tensor | None, ...]:
    return g * factor, None


class Embedding(Module):
    """A learned vector for each word: integers (…) in [0, num_embeddings) give (…, embedding_dim).

    `weight` is (num_embeddings, embedding_dim), at first standard normal numbers, with zeros in row `padding_idx`. The
    other arguments are those of `functional.embedding`.

    >>> import chainrule
    >>> words = Embedding(10, 3)
    >>> words(chainrule.tensor([[1, 2, 4, 5], [4, 3, 2, 9]])).shape
    Size([2, 4, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if sparse:
            raise ValueError("there are no sparse gradients; leave sparse=False.")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else _row(padding_idx, num_embeddings)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            weight = empty(num_embeddings, embedding_dim, device=device, dtype=dtype)
            self.weight = Parameter(weight, requires_grad=not _freeze)
            self.reset_parameters()
        elif tuple(_weight.shape) != (num_embeddings, embedding_dim):
            raise ShapeError(f"the weight is ({num_embeddings}, {embedding_dim}), got {tuple(_weight.shape)}.")
        else:
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        settings = self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        return embedding(input, self.weight, *settings)

    def extra_repr(self) -> str:
        """The sizes, and what is not usual."""
        usual = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False}
        rest = "".join(
            f", {name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value
        )
        return f"{self.num_embeddings}, {self.embedding_dim}{rest}"

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An embedding with given vectors (V, D), which are not trained if `freeze`.

        >>> import chainrule
        >>> Embedding.from_pretrained(chainrule.tensor([[1.0, 2.0]]))(chainrule.tensor(0))
        tensor([1., 2.])
        """
        if need_tensor(embeddings, "from_pretrained").ndim != 2:
            raise ShapeError(f"embeddings are (vocabulary, features), got {tuple(embeddings.shape)}.")
        words, features = embeddings.shape
        settings = padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze
        return cls(words, features, *settings)
