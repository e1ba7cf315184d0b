"""Causal self-attention, all at once or step by step with what was computed before kept in a cache."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.errors import ShapeError
from chainrule.functions.checking import check_range
from chainrule.functions.creation import arange, tensor, zeros
from chainrule.functions.promotion import need_tensor
from chainrule.nn.attention.dot_product import attend_in_groups, forbid
from chainrule.nn.attention.multihead import MultiheadAttention, join_heads, project, split_heads
from chainrule.nn.linear import linear
from chainrule.tensor import Tensor


class KeyValueCache(NamedTuple):
    """The keys and values of the tokens so far, in room for `capacity` of them.

    It is a tuple of tensors and never changes: `extended` answers with another one. All shapes stay the same while it
    fills up, so it can be the carry of `chainrule.scan`, and of a traced step. A compiled step that ends with
    `old.copy_(new)` stores the new rows in the old one's memory and copies nothing else.

    Attributes:
        keys, values: (N, h, capacity, width); behind `length` there are zeros.
        length: how many tokens are in, int64, ().

    >>> import chainrule
    >>> cache = KeyValueCache.empty(batch=1, heads=2, capacity=4, width=3)
    >>> cache = cache.extended(chainrule.ones(1, 2, 1, 3), chainrule.ones(1, 2, 1, 3))
    >>> cache.length, cache.readable(1)
    (tensor(1), tensor([[ True, False, False, False]]))
    """

    keys: Tensor
    values: Tensor
    length: Tensor

    @classmethod
    def empty(
        cls, batch: int, heads: int, capacity: int, width: int, dtype: Any = None, device: Any = None
    ) -> KeyValueCache:
        """A cache that holds nothing."""
        room = zeros(batch, heads, capacity, width, dtype=dtype, device=device)
        return cls(room, room, tensor(0, device=device))

    def extended(self, keys: Tensor, values: Tensor) -> KeyValueCache:
        """The cache with keys and values (N, h, L, width) of L more tokens.

        Raises ShapeError if they do not fit in.
        """
        capacity, new = self.keys.shape[2], keys.shape[2]
        if keys.shape[:2] != self.keys.shape[:2] or keys.shape != values.shape:
            raise ShapeError(
                f"the cache holds keys {tuple(self.keys.shape)}; keys {tuple(keys.shape)} and values "
                f"{tuple(values.shape)} do not belong to it."
            )
        check_range(_has_room, self.length, 0, capacity - new, new=new)
        places = self.length + arange(new, device=self.length.device)
        both = self.keys.index_copy(2, places, keys), self.values.index_copy(2, places, values)
        return KeyValueCache(*both, self.length + new)

    def rows(self, places: Tensor) -> KeyValueCache:
        """The cache of other sequences: those at these places of the batch, (M,) integers, in this order."""
        return KeyValueCache(self.keys.index_select(0, places), self.values.index_select(0, places), self.length)

    def readable(self, queries: int) -> Tensor:
        """True where the last `queries` tokens may read: up to their own entry. (queries, capacity)."""
        own = self.length - queries + arange(queries, device=self.length.device)
        return arange(self.keys.shape[2], device=own.device) <= own.unsqueeze(1)


def _has_room(length: Any, low: int, high: int, new: int) -> None:
    if not low <= length <= high:
        raise ShapeError(
            f"the cache has room for {high + new} tokens and holds {int(length)}; {new} more do not fit in. Make it "
            "with a larger capacity."
        )


def read_causally(
    query: Tensor, key: Tensor, value: Tensor, cache: KeyValueCache | None = None, dropout_p: float = 0.0
) -> tuple[Tensor, KeyValueCache | None]:
    """Each query reads its own key and those before it, in the cache too: the heads' results, and the cache after it.

    query: (N, h, L, E), key and value: (N, g, L, E); where g < h, each head of keys serves h/g heads of queries
    (grouped keys), and the cache holds only the g. Result (N, h, L, E).

    >>> import chainrule
    >>> q, k = chainrule.zeros(1, 4, 3, 2), chainrule.ones(1, 2, 3, 2)
    >>> read_causally(q, k, k)[0].shape
    Size([1, 4, 3, 2])
    """
    if cache is not None:
        cache = cache.extended(key, value)
        key, value = cache.keys, cache.values
    if cache is None:
        return attend_in_groups(query, key, value, None, dropout_p, True), None
    bias = forbid(~cache.readable(query.shape[2]), query.dtype)
    return attend_in_groups(query, key, value, bias, dropout_p), cache


class CausalSelfAttention(MultiheadAttention):
    """Multi-head attention in which each token reads itself and those before it, as a language model needs.

    Shapes: input (N, L, embed_dim) or (L, embed_dim), result the same. Parameters have the names and initial values of
    `MultiheadAttention`'s, so weights travel. PyTorch has no such module; `MultiheadAttention` with a causal mask
    computes the same.

    `forward(input, cache)` goes on from a cache: it takes only the tokens that are new, and answers with their results
    and the cache that holds them too. Token by token this gives what the whole sequence at once would.

    >>> import chainrule
    >>> attention = CausalSelfAttention(8, num_heads=2).eval()
    >>> x = chainrule.randn(1, 5, 8)
    >>> whole, _ = attention(x)
    >>> cache = attention.empty_cache(batch=1, capacity=5)
    >>> first, cache = attention(x[:, :3], cache)
    >>> second, cache = attention(x[:, 3:], cache)
    >>> chainrule.allclose(chainrule.cat([first, second], 1), whole, atol=1e-6)
    True
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(embed_dim, num_heads, dropout, bias, batch_first=True, device=device, dtype=dtype)

    def empty_cache(self, batch: int, capacity: int) -> KeyValueCache:
        """A cache with room for `capacity` tokens of each of `batch` sequences."""
        return KeyValueCache.empty(batch, self.num_heads, capacity, self.head_dim, self.in_proj_weight.dtype)

    def forward(  # type: ignore[override]
        self, input: Tensor, cache: KeyValueCache | None = None
    ) -> tuple[Tensor, KeyValueCache | None]:
        """The result, and the cache with these tokens (None if none was given); see the class."""
        x = need_tensor(input, "causal self-attention")
        if x.ndim not in (2, 3) or x.shape[-1] != self.embed_dim:
            raise ShapeError(f"causal self-attention takes (batch, length, {self.embed_dim}), got {tuple(x.shape)}.")
        x = x if x.ndim == 3 else x.unsqueeze(0)
        q, k, v = (
            split_heads(part, self.num_heads)
            for part in project([x, x, x], self.in_proj_weight, None, self.in_proj_bias)
        )
        heads, cache = read_causally(q, k, v, cache, self.dropout if self.training else 0.0)
        y = linear(join_heads(heads), self.out_proj.weight, self.out_proj.bias)
        return y if input.ndim == 3 else y.squeeze(0), cache
