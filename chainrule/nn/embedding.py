"""Embeddings: a learned vector for each word, looked up by its number; and bags of them, joined into one vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autodiff.block import block
from chainrule.autodiff.mode import no_grad
from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.functions.checking import check_numbers, check_range
from chainrule.functions.creation import arange, empty, ones, zeros
from chainrule.functions.logic import where
from chainrule.functions.pieces import cat
from chainrule.functions.promotion import need_tensor
from chainrule.nn.init import normal_
from chainrule.nn.module import Module
from chainrule.state import current_state
from chainrule.tensor import Parameter, Tensor


def _check(input: Any, weight: Any, operation: str) -> Tensor:
    """The numbers of words, each of them a row of the weight."""
    x, table = need_tensor(input, operation), need_tensor(weight, operation)
    if table.ndim != 2:
        raise ShapeError(f"{operation}: the weight is (words, features), got {tuple(table.shape)}.")
    if x.value.array.dtype.kind not in "iu":
        raise DTypeError(f"{operation} takes the numbers of words, integers, got {x.dtype}; convert them with .long().")
    check_range(_are_words, x, 0, table.shape[0] - 1, operation=operation)
    return x


def _are_words(numbers: Any, low: int, high: int, operation: str) -> None:
    wrong = (numbers < low) | (numbers > high)
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0].tolist())
        raise IndexRangeError(
            f"{operation}: {numbers[place]} at {list(place)} is none of the {high + 1} words 0 … {high}."
        )


def _row(padding_idx: int | None, words: int) -> int | None:
    """The padding's row, counted from the start."""
    if padding_idx is None:
        return None
    if not -words <= padding_idx < words:
        raise IndexRangeError(f"padding_idx {padding_idx} is none of the {words} words.")
    return padding_idx % words


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of a table: weight[input].

    input: integers of any shape, weight: (words, features), result (*input.shape, features).

    Args:
        padding_idx: a word whose vector gets no gradient.
        max_norm: longer vectors (of those looked up) are shortened to this length first, in the weight itself.
        norm_type: the p of that length.
        scale_grad_by_freq: divide the gradient of a word by how often it occurs in `input`.
        sparse: taken and ignored; gradients here are dense.

    Raises IndexRangeError for a number that is no word, DTypeError for what is no integer.

    >>> import chainrule
    >>> embedding(chainrule.tensor([2, 0]), chainrule.tensor([[1.0, 1.5], [2.0, 2.5], [3.0, 3.5]]))
    tensor([[3.0000, 3.5000],
            [1.0000, 1.5000]])
    """
    x = _check(input, weight, "embedding")
    padding = _row(padding_idx, weight.shape[0])
    if max_norm is not None:
        _shorten(weight, x, max_norm, norm_type)
    return _look_up(weight, x, padding, scale_grad_by_freq)


@block
def _look_up(weight: Tensor, words: Tensor, padding: int | None, by_frequency: bool) -> Tensor:
    return weight.index_select(0, words.reshape(-1)).reshape(*words.shape, weight.shape[1])


@_look_up.gradient
def _(g: Tensor, weight: Tensor, words: Tensor, padding: int | None, by_frequency: bool) -> tuple[Tensor, None]:
    flat, rows = words.reshape(-1), g.reshape(-1, weight.shape[1])
    if by_frequency:
        counts = zeros(weight.shape[0], dtype=g.dtype, device=g.device).index_add(
            0, flat, ones(flat.shape[0], dtype=g.dtype, device=g.device)
        )
        rows = rows / counts.index_select(0, flat).unsqueeze(1)
    if padding is not None:
        rows = where((flat != padding).unsqueeze(1), rows, rows.new_zeros(()))
    return g.new_zeros(tuple(weight.shape)).index_add(0, flat, rows), None


@no_grad()
def _shorten(weight: Tensor, words: Tensor, max_norm: float, norm_type: float) -> None:
    flat = words.reshape(-1)
    rows = weight.detach().index_select(0, flat)
    lengths = rows.norm(norm_type, dim=1, keepdim=True)
    shortened = rows * where(lengths > max_norm, max_norm / (lengths + 1e-7), lengths.new_ones(()))
    weight.index_put_((flat,), shortened)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or largest entries of the vectors of each bag of words; result (bags, features).

    input: (bags, words) with bags of one size, or (words,) with `offsets`, where each bag begins (the last ends at the
    end, or where `include_last_offset` says so). Words equal to `padding_idx` do not count; an empty bag gives 0.
    `per_sample_weights`, of the shape of `input`, weigh the vectors of a sum. Other arguments as `embedding`.

    Raises ShapeError for offsets that do not begin at 0 or where they must or must not be given, ValueError for another
    mode or weights without mode "sum".

    >>> import chainrule
    >>> table = chainrule.tensor([[1.0], [2.0], [4.0]])
    >>> embedding_bag(chainrule.tensor([0, 1, 2, 2]), table, chainrule.tensor([0, 2]), mode="sum")
    tensor([[3.],
            [8.]])
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode is 'sum', 'mean' or 'max', got {mode!r}.")
    if per_sample_weights is not None and mode != "sum":
        raise ValueError(f"embedding_bag: per_sample_weights are for mode 'sum', not {mode!r}.")
    x = _check(input, weight, "embedding_bag")
    if per_sample_weights is not None and per_sample_weights.shape != x.shape:
        raise ShapeError(
            f"embedding_bag: per_sample_weights have the shape of the input {tuple(x.shape)}, got "
            f"{tuple(per_sample_weights.shape)}."
        )
    words, bag, bags = _bags(x, offsets, include_last_offset)
    padding = _row(padding_idx, weight.shape[0])
    vectors = embedding(words, weight, padding, max_norm, norm_type, scale_grad_by_freq, sparse)
    counts = words.new_ones(tuple(words.shape)) if padding is None else (words != padding).long()
    if mode == "max":
        return _largest(vectors, counts, bag, bags, x.shape[1] if x.ndim == 2 else None)
    factors = counts.to(vectors.dtype)
    if per_sample_weights is not None:
        factors = factors * per_sample_weights.reshape(-1)
    if padding is not None or per_sample_weights is not None:
        vectors = vectors * factors.unsqueeze(1)
    total = _sums(vectors, bag, bags, x)
    if mode == "sum":
        return total
    each = _sums(counts, bag, bags, x).clamp(min=1)
    return total / each.to(total.dtype).unsqueeze(1)


def _sums(entries: Tensor, bag: Tensor, bags: int, x: Tensor) -> Tensor:
    """What belongs to each bag added up."""
    rest = tuple(entries.shape[1:])
    if x.ndim == 2:  # bags of one size
        return entries.reshape(bags, x.shape[1], *rest).sum(1)
    return entries.new_zeros((bags, *rest)).index_add(0, bag, entries)


def _bags(x: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Tensor, Tensor, int]:
    """All words in one row, the bag of each, and how many bags there are."""
    if x.ndim == 2:
        if offsets is not None:
            raise ShapeError("embedding_bag: with an input (bags, words) there are no offsets.")
        bags, each = x.shape
        return x.reshape(-1), arange(bags, device=x.device).unsqueeze(1).expand(bags, each).reshape(-1), bags
    if x.ndim != 1 or offsets is None or offsets.ndim != 1:
        raise ShapeError(f"embedding_bag takes (bags, words), or (words,) with offsets (bags,); got {tuple(x.shape)}.")
    starts = offsets[:-1] if include_last_offset else offsets
    if offsets.numel():
        check_numbers(_offsets_rise, offsets, wrong=_do_not_rise, words=x.shape[0])
    # A bag begins where its offset is: counting the beginnings up to a word tells its bag.
    begins = starts.new_zeros(x.shape[0] + 1).index_add(0, starts, starts.new_ones(tuple(starts.shape)))
    return x, begins[: x.shape[0]].cumsum(0) - 1, starts.shape[0]


def _offsets_rise(offsets: Any, words: int) -> None:
    if offsets[0] != 0 or offsets[-1] > words or (np.diff(offsets) < 0).any():
        raise ShapeError(f"embedding_bag: offsets rise from 0 to at most {words}, got {offsets.tolist()}.")


def _do_not_rise(offsets: Tensor, words: int) -> Tensor:
    """Each offset against the next, the first against 0 and the last against the number of words."""
    bounds = cat([offsets.new_zeros(1), offsets, offsets.new_full((1,), words)])
    first = arange(offsets.shape[0] + 1, device=offsets.device) == 0
    return (bounds[1:] < bounds[:-1]) | (first & (bounds[1:] != 0))


def _largest(vectors: Tensor, counts: Tensor, bag: Tensor, bags: int, longest: int | None) -> Tensor:
    """The largest entries of each bag, with bags filled up to the size of the largest one.

    With offsets that size is read off their numbers; while tracing it may be as large as the number of words.
    """
    sizes = bag.new_zeros(bags).index_add(0, bag, bag.new_ones(tuple(bag.shape)))
    if longest is None and current_state().trace is not None:
        longest = bag.shape[0]
    elif longest is None:
        longest = int(sizes.max()) if bags and bag.shape[0] else 0
    if not longest:
        return vectors.new_zeros((bags, vectors.shape[1]))
    place = arange(bag.shape[0], device=bag.device) - (sizes.cumsum(0) - sizes).index_select(0, bag)
    none = -float("inf")
    kept = where((counts > 0).unsqueeze(1), vectors, vectors.new_full((), none))
    filled = vectors.new_full((bags, longest, vectors.shape[1]), none).index_put((bag, place), kept)
    found = filled.max(1).values
    return where(found == none, found.new_zeros(()), found)


class Embedding(Module):
    """A learned vector for each of `num_embeddings` words, looked up by its number.

    Input: integers of any shape; output (*input.shape, embedding_dim). The weight (num_embeddings, embedding_dim)
    starts as standard normal numbers, the row of `padding_idx` as zeros. Arguments as `functional.embedding`.

    >>> import chainrule
    >>> Embedding(10, 3)(chainrule.tensor([[1, 2, 4], [4, 3, 9]])).shape
    Size([2, 3, 3])
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
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = _row(padding_idx, num_embeddings)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.weight = _table(num_embeddings, embedding_dim, _weight, _freeze, device, dtype)
        if _weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new standard normal numbers; the padding's row is zero."""
        normal_(self.weight)
        _clear(self.weight, self.padding_idx)

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
        """An embedding with given vectors (words, features), which are not trained unless `freeze` is False.

        >>> import chainrule
        >>> Embedding.from_pretrained(chainrule.ones(3, 2)).weight.requires_grad
        False
        """
        _check_table(embeddings)
        settings = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        return cls(embeddings.shape[0], embeddings.shape[1], *settings, _weight=embeddings, _freeze=freeze)

    def forward(self, input: Tensor) -> Tensor:
        """The vectors of the words."""
        return embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    def extra_repr(self) -> str:
        """The sizes, and what is not as usual."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        usual = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False, "sparse": False}
        return text + "".join(f", {n}={getattr(self, n)}" for n, value in usual.items() if getattr(self, n) != value)


class EmbeddingBag(Module):
    """The sum, mean or largest entries of the vectors of each bag of words; arguments as `functional.embedding_bag`.

    >>> import chainrule
    >>> EmbeddingBag(10, 3, mode="sum")(chainrule.tensor([[1, 2, 4], [4, 3, 9]])).shape
    Size([2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.sparse, self.include_last_offset = mode, sparse, include_last_offset
        self.padding_idx = _row(padding_idx, num_embeddings)
        self.weight = _table(num_embeddings, embedding_dim, _weight, False, device, dtype)
        if _weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new standard normal numbers; the padding's row is zero."""
        normal_(self.weight)
        _clear(self.weight, self.padding_idx)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Bags over given vectors (words, features), which are not trained unless `freeze` is False.

        >>> import chainrule
        >>> EmbeddingBag.from_pretrained(chainrule.ones(3, 2))(chainrule.tensor([[0, 1]]))
        tensor([[1., 1.]])
        """
        _check_table(embeddings)
        bag = cls(
            embeddings.shape[0], embeddings.shape[1], max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings,
            include_last_offset, padding_idx,
        )  # fmt: skip
        bag.weight.requires_grad_(not freeze)
        return bag

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """One vector for each bag."""
        return embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The sizes, and what is not as usual."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        usual = {"max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False}
        text += "".join(f", {n}={getattr(self, n)}" for n, value in usual.items() if getattr(self, n) != value)
        text += f", mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"


def _check_table(embeddings: Tensor) -> None:
    if need_tensor(embeddings, "from_pretrained").ndim != 2:
        raise ShapeError(f"from_pretrained takes vectors (words, features), got {tuple(embeddings.shape)}.")


def _table(words: int, features: int, given: Tensor | None, freeze: bool, device: Any, dtype: Any) -> Parameter:
    if given is None:
        return Parameter(empty(words, features, device=device, dtype=dtype), requires_grad=not freeze)
    if tuple(given.shape) != (words, features):
        raise ShapeError(f"the weight has the shape {(words, features)}, got {tuple(given.shape)}.")
    return Parameter(given.detach_copy(), requires_grad=not freeze)


@no_grad()
def _clear(weight: Tensor, padding: int | None) -> None:
    if padding is not None:
        weight[padding] = 0
