"""Attention without its matrix of weights: that matrix is made tile by tile, where the processor's cache holds it.

For L queries and S keys the weights are L·S numbers for every head and sample: far more than goes in or comes out.
Both primitives here walk over tiles of rows. The forward pass keeps, besides its result, the logarithm of the sum that
softmax divides each row by; from it the backward pass makes the same weights again. So memory grows with L + S, not
with L·S, and time goes into products. What rounding takes from the logarithm is kept too: without it weights of scores
around 10⁴ would come back with an error of 10⁻³.

Dropout of weights is part of both: behind softmax a weight counts 1/keep times where a boolean matrix says so, else
not at all. The sum that softmax's gradient takes from a row stays cheap: with M for that factor it is the sum of
P⊙M⊙(g·vᵀ), which is the sum of g⊙output, as it is without dropout.

Source: Dao, Fu, Ermon, Rudra and Ré, "FlashAttention: fast and memory-efficient exact attention with IO-awareness",
2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.primitives.constants import constant
from chainrule.primitives.placed import place_of
from chainrule.primitives.primitive import Primitive, Rule, read_rule, unpack
from chainrule.primitives.value import Array, Form

if TYPE_CHECKING:
    from chainrule.tape import Record
    from chainrule.tensor import Tensor

_float32 = np.dtype(np.float32)
#: Entries of the matrix of weights that one tile holds: half a megabyte of float32.
TILE = 2**17
#: Rows of one tile. With a causal mask a tile reads no key behind its last row, so fewer rows save work; and products
#: of more rows are of the size for which BLAS wakes its other threads and waits for them, many times over.
ROWS = 64


class _Tiles:
    """The tiles of one computation: which samples, rows and keys, and the room in which their weights are made."""

    def __init__(self, q: Array, k: Array, more: tuple[Array, ...], scale: float, causal: bool, keep: float) -> None:
        self.q, self.k = _flat(q), _flat(k)
        bias, kept = parts_of(more, keep)
        self.count, self.rows = self.q.shape[:2]
        self.keys = self.k.shape[1]
        self.scale = q.dtype.type(scale)
        self.causal = causal
        self.bias = _flat(bias[0] if bias[0].strides[-2] else bias[0][..., :1, :]) if bias else None
        self.kept = _flat(kept[0]) if kept else None
        self.factor = q.dtype.type(1 / keep)
        self.height = max(1, min(self.rows, ROWS, TILE // max(self.keys, 1)))
        self.depth = max(1, TILE // max(self.height * self.keys, 1))

    def samples(self) -> Iterator[slice]:
        """Which samples (and heads) are taken together."""
        return (slice(i, i + self.depth) for i in range(0, self.count if self.keys else 0, self.depth))

    def row_tiles(self) -> Iterator[tuple[slice, slice]]:
        """Rows that are taken together, with the keys that they may read."""
        for start in range(0, self.rows, self.height):
            stop = min(start + self.height, self.rows)
            yield slice(start, stop), slice(0, min(stop, self.keys) if self.causal else self.keys)

    def room(self) -> Array:
        """Memory for the weights of one tile."""
        return np.empty(min(self.depth, self.count) * self.height * self.keys, self.q.dtype)

    def scores(self, queries: Array, b: slice, rows: slice, keys: slice, room: Array) -> Array:
        """What softmax is taken of, queries·kᵀ + bias, for one tile. The queries are scaled already."""
        form = (queries.shape[0], queries.shape[1], keys.stop)
        scores = np.matmul(queries, self.k[b, keys].swapaxes(1, 2), out=room[: math.prod(form)].reshape(form))
        if self.bias is not None:
            scores += self.bias[b, rows if self.bias.shape[1] > 1 else slice(None), keys]
        if self.causal and keys.stop > rows.start:
            triangle = (queries.shape[1], keys.stop - rows.start)
            scores[:, :, rows.start :] += np.triu(np.full(triangle, -np.inf, scores.dtype), 1)
        return scores

    def dropped(self, weights: Array, b: slice, rows: slice, keys: slice, room: Array | None = None) -> Array:
        """A tile of weights, or of what is multiplied by them, without those that are dropped."""
        if self.kept is None:
            return weights
        out = weights if room is None else room[: weights.size].reshape(weights.shape)
        np.multiply(weights, self.factor, out=out)
        return np.multiply(out, self.kept[b, rows, keys], out=out)


def parts_of(more: tuple[Any, ...], keep: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The bias, if there is one, and which weights are kept, if some are dropped."""
    return (more, ()) if keep == 1 else (more[:-1], more[-1:])


def _flat(x: Array) -> Array:
    """All leading dimensions as one."""
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])


def _up_to_the_last_read(
    k: Array, v: Array, more: tuple[Array, ...], keep: float
) -> tuple[Array, Array, tuple[Array, ...]]:
    """Without the last keys that no query may read: the room of a cache that is not filled yet."""
    bias, _ = parts_of(more, keep)
    if not bias or not bias[0].size:
        return k, v, more
    one = bias[0][
        tuple(slice(None) if step else slice(0, 1) for step in bias[0].strides[:-1])
    ]  # what is repeated, once
    read = np.flatnonzero((one != -np.inf).any(tuple(range(one.ndim - 1))))
    last = int(read[-1]) + 1 if len(read) else 0
    return k[..., :last, :], v[..., :last, :], tuple(x[..., :last] for x in more)


def _check(name: str, q: Any, k: Any, v: Any, more: tuple[Any, ...], keep: float) -> None:
    batch, wanted = q.shape[:-2], (*q.shape[:-1], k.shape[-2] if len(k.shape) > 1 else 0)
    fits = len(q.shape) > 1 and k.shape[:-2] == batch == v.shape[:-2] and q.shape[-1:] == k.shape[-1:]
    if not fits or k.shape[-2] != v.shape[-2] or any(tuple(x.shape) != wanted for x in more):
        shapes = ", ".join(str(tuple(x.shape)) for x in (q, k, v, *more))
        raise ShapeError(
            f"{name}: queries (…, L, E), keys (…, S, E) and values (…, S, V) have equal dimensions in front, and a "
            f"bias and what is kept are (…, L, S), got {shapes}."
        )
    bias, kept = parts_of(more, keep)
    if not 0 < keep <= 1 or len(bias) > 1 or [x.dtype.kind for x in kept] != ["b"] * bool(keep < 1):
        types = ", ".join(str(x.dtype) for x in more) or "none"
        raise DTypeError(
            f"{name}: behind the values come a bias, if there is one, and with keep in (0, 1) which weights are kept, "
            f"in booleans; got keep {keep} and inputs of types {types}."
        )


class _Together(Primitive, abstract=True):
    """A primitive whose rule `gradients` answers for several inputs at once; the others may have one of their own."""

    def __init_subclass__(cls, abstract: bool = False) -> None:
        super().__init_subclass__(abstract)
        cls.rules = {**dict.fromkeys((*cls.arguments, cls.variadic), read_rule(cls.gradients)), **cls.rules}

    gradients: ClassVar[Callable[..., Any]]
    later: ClassVar[dict[str, Any]] = {"keep": 1.0}

    @classmethod
    def pull_back(cls, record: Record, upstream: list[Tensor | None], wanted: list[bool]) -> list[Tensor | None]:
        """Ask the common rule once."""
        known = {"more": (), **unpack(record, upstream, cls.outputs)}

        def ask(rule: Rule) -> Any:
            settings = {name: record.parameters[name] for name in rule.settings}
            return Primitive.call_rule(rule.function, [known[name] for name in rule.names], settings)

        found = list(ask(cls.rules["q"])) if any(wanted[: len(cls.arguments)]) else [None] * len(cls.arguments)
        # Behind them come a bias and what is kept: booleans, of which no gradient is ever wanted.
        found += [ask(cls.rules["more"]) if is_wanted else None for is_wanted in wanted[len(found) :]]
        return found


class Attention(_Together):
    """output = softmax(scale·q·kᵀ + bias)·v, and the logarithm of the sum that softmax divides each row by.

    q: (…, L, E), k: (…, S, E), v: (…, S, V), and possibly a bias (…, L, S). With `causal` query i reads keys 0 … i.
    With keep < 1 the last input is booleans (…, L, S): which weights are kept, and divided by `keep`; the others are 0.
    A row that may read no key at all is zero. `rest` is what rounding took from the logarithm: 0, but for the machine.
    """

    latex = r"\operatorname{softmax}(s\, q k^{\top} + b)\, v"
    outputs = ("output", "logsumexp", "rest")
    accumulates = True
    lies_like = ("q", "", "")

    @staticmethod
    def shape(q: Array, k: Array, v: Array, *more: Array, scale: float, causal: bool, keep: float) -> list[Form]:
        _check("attention", q, k, v, more, keep)
        sums = (tuple(q.shape[:-1]), _float32 if q.dtype.itemsize == 2 else q.dtype)
        return [((*q.shape[:-1], v.shape[-1]), q.dtype), sums, sums]

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 2 * arrays[0].size * arrays[1].shape[-2]

    @staticmethod
    def evaluate(
        q: Array, k: Array, v: Array, *more: Array, scale: float, causal: bool, keep: float
    ) -> tuple[Array, ...]:
        k, v, more = _up_to_the_last_read(k, v, more, keep)
        tiles, values = _Tiles(q, k, more, scale, causal, keep), _flat(v)
        output = np.zeros((tiles.count, tiles.rows, v.shape[-1]), q.dtype)
        tops, logarithms = (np.full((tiles.count, tiles.rows), fill) for fill in (0.0, -np.inf))
        room = tiles.room()
        for b in tiles.samples():
            for rows, keys in tiles.row_tiles():
                weights = tiles.scores(tiles.q[b, rows] * tiles.scale, b, rows, keys, room)
                largest = weights.max(-1, keepdims=True)
                largest[largest == -np.inf] = 0  # where all are forbidden
                weights -= largest
                np.exp(weights, out=weights)
                total = weights.sum(-1, keepdims=True)
                # The largest entry counts 1, so a total below 1 is 0: nothing to read.
                left = tiles.dropped(weights, b, rows, keys)
                output[b, rows] = np.matmul(left, values[b, keys]) / np.maximum(total, 1)
                tops[b, rows], logarithms[b, rows] = largest[:, :, 0], np.log(total.astype(np.float64))[:, :, 0]
        tops, logarithms = tops.reshape(q.shape[:-1]), logarithms.reshape(q.shape[:-1])
        logsumexp = (tops + logarithms).astype(q.dtype)
        # Beside a largest score of −10³⁸ the logarithm vanishes in the sum, in float64 too: then all of it is rest.
        rest = np.where(np.isfinite(logsumexp), (tops - logsumexp) + logarithms, 0).astype(q.dtype)
        return output.reshape(*q.shape[:-1], v.shape[-1]), logsumexp, rest

    @staticmethod
    def gradients(
        g_output: Tensor,
        g_logsumexp: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        output: Tensor,
        logsumexp: Tensor,
        rest: Tensor,
        more: tuple[Tensor, ...],
        *,
        scale: float,
        causal: bool,
        keep: float,
    ) -> Any:
        """Of q, k and v."""
        shift = _shift(g_output, output, g_logsumexp)
        given = (g_output, q, k, v, logsumexp, rest, shift, *more)
        return AttentionGradient.apply(*given, scale=scale, causal=causal, keep=keep)

    @staticmethod
    def grad_more(
        g_output: Tensor,
        g_logsumexp: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        output: Tensor,
        logsumexp: Tensor,
        rest: Tensor,
        more: tuple[Tensor, ...],
        *,
        scale: float,
        causal: bool,
        keep: float,
    ) -> Tensor:
        shift = _shift(g_output, output, g_logsumexp)
        bias, kept = parts_of(more, keep)
        return to_scores(g_output, q, k, v, logsumexp, rest, shift, bias, kept, scale, causal, keep)[1]


def _shift(g_output: Tensor, output: Tensor, g_logsumexp: Tensor) -> Tensor:
    """For each row the sum of g⊙output, less what comes through the logarithm; of halves in float32, as that is."""
    wide = g_logsumexp.dtype
    return (g_output.to(wide) * output.to(wide)).sum(-1) - g_logsumexp


class AttentionGradient(_Together):
    """The gradients of attention in q, k and v, from the gradient g of its result.

    With the weights P = exp(scale·q·kᵀ + bias − logsumexp − rest), and M = 1/keep where they are kept, else 0, the
    gradient of the scores is D = P⊙(M⊙(g·vᵀ) − shift), where `shift` is, for each row, the sum of g⊙output; then
    q̄ = scale·D·k, k̄ = scale·Dᵀ·q, v̄ = (P⊙M)ᵀ·g.
    """

    latex = r"s D k,\; s D^{\top} q,\; P^{\top} g"
    outputs = ("to_q", "to_k", "to_v")
    accumulates = True
    lies_like = ("q", "k", "v")

    @staticmethod
    def shape(
        g: Array,
        q: Array,
        k: Array,
        v: Array,
        logsumexp: Array,
        rest: Array,
        shift: Array,
        *more: Array,
        scale: float,
        causal: bool,
        keep: float,
    ) -> list[Form]:
        _check("gradient of attention", q, k, v, more, keep)
        rows = tuple(q.shape[:-1])
        if tuple(g.shape) != (*rows, v.shape[-1]) or any(tuple(x.shape) != rows for x in (logsumexp, rest, shift)):
            got = ", ".join(str(tuple(x.shape)) for x in (g, logsumexp, rest, shift))
            raise ShapeError(
                f"gradient of attention: g, logsumexp, rest and shift of shapes {got} do not belong to queries "
                f"{tuple(q.shape)} and values {tuple(v.shape)}."
            )
        return [(tuple(x.shape), q.dtype) for x in (q, k, v)]

    @staticmethod
    def operations(arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> int:
        return 5 * arrays[1].size * arrays[2].shape[-2]

    @staticmethod
    def evaluate(
        g: Array,
        q: Array,
        k: Array,
        v: Array,
        logsumexp: Array,
        rest: Array,
        shift: Array,
        *more: Array,
        scale: float,
        causal: bool,
        keep: float,
    ) -> tuple[Array, Array, Array]:
        tiles, values, g = _Tiles(q, k, more, scale, causal, keep), _flat(v), _flat(g)
        to_q, to_k, to_v = (np.zeros(x.shape, x.dtype) for x in (tiles.q, tiles.k, values))
        a_number = (tiles.count, tiles.rows, 1)
        sums, rest, shift = (x.reshape(a_number) for x in (logsumexp, rest, shift))
        sums = np.where(sums == -np.inf, np.inf, sums)  # rows without keys weigh 0
        correction = np.exp(-rest)  # a factor of each row: cheaper on the smaller arrays than in the exponent
        rooms = tiles.room(), tiles.room()
        for b in tiles.samples():
            for rows, keys in tiles.row_tiles():
                queries = tiles.q[b, rows] * tiles.scale
                weights = tiles.scores(queries, b, rows, keys, rooms[0])
                weights -= sums[b, rows]
                np.exp(weights, out=weights)
                upstream = g[b, rows] * correction[b, rows]
                left = tiles.dropped(weights, b, rows, keys, rooms[1])
                to_v[b, keys] += np.matmul(left.swapaxes(1, 2), upstream)
                room = rooms[1][: weights.size].reshape(weights.shape)
                to_scores = np.matmul(upstream, values[b, keys].swapaxes(1, 2), out=room)
                to_scores = tiles.dropped(to_scores, b, rows, keys)
                to_scores -= shift[b, rows] * correction[b, rows]
                to_scores *= weights
                to_q[b, rows] = np.matmul(to_scores, tiles.k[b, keys]) * tiles.scale
                to_k[b, keys] += np.matmul(to_scores.swapaxes(1, 2), queries)
        return to_q.reshape(q.shape), to_k.reshape(k.shape), to_v.reshape(v.shape)

    @staticmethod
    def gradients(
        g_to_q: Tensor,
        g_to_k: Tensor,
        g_to_v: Tensor,
        g: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        logsumexp: Tensor,
        rest: Tensor,
        shift: Tensor,
        more: tuple[Tensor, ...],
        *,
        scale: float,
        causal: bool,
        keep: float,
    ) -> list[Tensor]:
        """Of all inputs."""
        # Every result is a product of P, M, D and the inputs; this is the product rule, with full matrices.
        bias, kept = parts_of(more, keep)
        weights, of_scores, difference = to_scores(g, q, k, v, logsumexp, rest, shift, bias, kept, scale, causal, keep)
        to_d = (g_to_q @ k.mT + q @ g_to_k.mT) * scale
        through = weights * to_d
        second = weights * (difference * to_d + dropped(g @ g_to_v.mT, kept, keep))
        to_sums = -second.sum(-1)
        kept_through = dropped(through, kept, keep)
        return [
            kept_through @ v + dropped(weights, kept, keep) @ g_to_v,
            (second @ k + of_scores @ g_to_k) * scale,
            (second.mT @ q + of_scores.mT @ g_to_q) * scale,
            kept_through.mT @ g,
            to_sums.to(logsumexp.dtype),
            to_sums.to(rest.dtype),
            -through.sum(-1),
            *[second for _ in bias],
        ]


def dropped(x: Tensor, kept: tuple[Tensor, ...], keep: float) -> Tensor:
    """M⊙x: x/keep where weights are kept, else 0."""
    for mask in kept:
        x = x * (mask.to(x.dtype) / keep)
    return x


def to_scores(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, logsumexp: Tensor, rest: Tensor, shift: Tensor,
    bias: tuple[Tensor, ...], kept: tuple[Tensor, ...], scale: float, causal: bool, keep: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """With full matrices in Tensor code: P, D = P⊙(M⊙(g·vᵀ) − shift), and what P is multiplied by there."""
    weights = _weights(q, k, logsumexp, rest, bias, scale, causal)
    difference = dropped(g @ v.mT, kept, keep) - shift.to(g.dtype).unsqueeze(-1)
    return weights, weights * difference, difference


def _weights(
    q: Tensor, k: Tensor, logsumexp: Tensor, rest: Tensor, bias: tuple[Tensor, ...], scale: float, causal: bool
) -> Tensor:
    """The matrix of weights, whole, in Tensor code: for derivatives of derivatives and of the bias."""
    scores = (q * scale) @ k.mT
    for b in bias:
        scores = scores + b
    sums, rest = (x.to(q.dtype).unsqueeze(-1) for x in (logsumexp, rest))
    forbidden = sums == -math.inf  # rows without keys
    if causal:
        forbidden = forbidden | _after(q, k)
    return (scores - sums - rest).masked_fill(forbidden, -math.inf).exp()


def _after(q: Tensor, k: Tensor) -> Tensor:
    """Where a key comes after the query: (L, S), booleans."""
    keys, queries = (constant(np.arange(x.shape[-2])).moved_to(place_of(x.value.array)) for x in (k, q))
    return keys > queries.unsqueeze(-1)
