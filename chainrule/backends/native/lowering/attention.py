"""Attention as one kernel: which parts it has, and where everything lies.

The forward kernel takes a block of queries at a time: their scores with all keys, softmax and the product with the
values happen while the scores are in the cache, and nothing of them is written to memory. The backward kernel makes the
weights again from the logarithms of their sums. A part of it is one head (or some of its keys): it walks over the
blocks of queries and adds up the gradients of keys and values on the way, always in the same order.

Source: Dao, Fu, Ermon, Rudra and Ré, "FlashAttention: fast and memory-efficient exact attention with IO-awareness",
2022. Whole rows of scores of a block fit in the second cache here, so softmax is the plain one.

>>> import chainrule
>>> attend = chainrule.compile(lambda x: chainrule.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True))
>>> _ = attend(chainrule.ones(2, 4, 100, 32))
>>> print(attend.explain().splitlines()[-1])
   0  attention of 8×100 queries to 100 keys, causal
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chainrule.backends.native.language.elementary import is_real
from chainrule.backends.native.language.halves import is_half
from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.groups import Group, axes_by_stride
from chainrule.backends.native.lowering.nest import Nest
from chainrule.backends.native.lowering.place import Buffer, Place, View
from chainrule.backends.native.lowering.rules import rule
from chainrule.primitives.attention import parts_of
from chainrule.primitives.value import DataType, Shape
from chainrule.program.graph import Equation

#: Dimensions in front of queries and keys that a kernel counts.
BATCH = 3
#: So many queries or fewer, with rows of at most so many entries, have a kernel of another kind, which reads keys and
#: values in halves as they lie; see `emitting/attention_few.py`.
FEW, LONGEST = 3, 128
#: The backward pass has so many parts, if there are keys enough for as many pieces; and a piece has so many keys.
PARTS, LEAST_KEYS, MOST_KEYS = 16, 128, 512


class Rows(NamedTuple):
    """Matrices in memory: where they begin, and the strides of the dimensions in front, of rows, and of columns."""

    buffer: Buffer
    offset: int
    batch: tuple[int, ...]
    row: int
    column: int


@dataclass(eq=False)
class Attention:
    """One kernel.

    Attributes:
        gradient: whether it is the backward one.
        rows: all that it reads and writes, by name.
        batch: the extents of the dimensions in front.
        queries, keys, width, values: L, S, E and V, as in `primitives/attention.py`.
        bias: "" for none, "row" for one that is the same for all queries, else "full".
        keep: the share of weights that is kept; less than 1 if there is a matrix that says which.
        pieces: into how many the keys are cut in the backward pass; each makes its part of the queries' gradient.
        apart: how far these lie from each other.
    """

    gradient: bool
    rows: dict[str, Rows]
    batch: tuple[int, ...]
    queries: int
    keys: int
    width: int
    values: int
    scale: float
    causal: bool
    bias: str
    dtype: DataType
    keep: float = 1.0
    pieces: int = 1
    apart: int = 0

    @property
    def few(self) -> bool:
        """Whether it is the kernel of a few queries."""
        return not self.gradient and self.keep == 1 and are_few(self.queries, self.width, self.values)

    @property
    def count(self) -> int:
        """How many heads there are in all samples."""
        return math.prod(self.batch)

    @property
    def operations(self) -> int:
        """Multiplications and additions; with a causal mask about half of the scores are left out."""
        products = 3 * self.width + 2 * self.values if self.gradient else self.width + self.values
        return 2 * self.count * self.queries * self.keys * products // (2 if self.causal else 1)

    @property
    def title(self) -> str:
        """What it is, for profiles."""
        name = "gradient of attention" if self.gradient else "attention"
        pieces = f" in {self.pieces} pieces" if self.pieces > 1 else ""
        causal = ", causal" if self.causal else ""
        dropout = ", dropout" if self.keep < 1 else ""
        return f"{name} of {self.count}×{self.queries} queries to {self.keys} keys{pieces}{causal}{dropout}"

    def reaches(self) -> list[tuple[Buffer, int, list[tuple[int, int, int]]]]:
        """For each matrix where it begins, and (first, last, stride) of all that moves the place."""
        queries = {"q", "g", "output", "to_q"}
        widths = dict.fromkeys(("q", "k", "to_q", "to_k"), self.width) | dict.fromkeys(("bias", "kept"), self.keys)
        answer = []
        for name, at in self.rows.items():
            rows = self.queries if name in {*queries, "bias", "kept", "logsumexp", "rest", "shift"} else self.keys
            columns = 1 if name in ("logsumexp", "rest", "shift") else widths.get(name, self.values)
            extents = [*self.batch, rows, columns]
            if name == "to_q" and self.pieces > 1:
                extents[:0] = [self.pieces]
            strides = [self.apart, *at.batch, at.row, at.column][-len(extents) :]
            answer.append((at.buffer, at.offset, [(0, n - 1, s) for n, s in zip(extents, strides, strict=True)]))
        return answer


def are_few(queries: int, width: int, values: int) -> bool:
    """Whether so few queries ask keys of such a width."""
    return queries <= FEW and 0 < width <= LONGEST and 0 < values <= LONGEST


@rule
def lower_Attention(at: Lowering, e: Equation) -> tuple[Place, ...] | None:
    """The result lies as the queries do, so that what brings the heads together has nothing to move."""
    q, k, v, *more = e.inputs
    if not is_real(q.dtype):
        return None
    if is_half(q.dtype):
        if e.parameters["keep"] < 1 or not are_few(q.shape[-2], q.shape[-1], v.shape[-1]):
            return None  # all of it is widened before
        q, more = at.single(q), [at.single(x) for x in more]
    output, sums, rest = e.outputs
    kernel, group = _begin(at, e, False, {"q": q, "k": k, "v": v}, more)
    order = axes_by_stride(at.plain(q))
    views = [_result(at, group, output, order)]
    views += [_result(at, group, x, range(len(x.shape)), "rest") for x in (sums, rest)]
    for name, view in zip(("output", "logsumexp", "rest"), views, strict=True):
        kernel.rows[name] = _rows(view, name == "output")
    return tuple(views)


@rule
def lower_AttentionGradient(at: Lowering, e: Equation) -> tuple[Place, ...] | None:
    """Each gradient lies as what it is the gradient of."""
    g, q, k, v, logsumexp, rest, shift, *more = e.inputs
    if not is_real(q.dtype):
        return None
    given = {"g": g, "q": q, "k": k, "v": v, "logsumexp": logsumexp, "rest": rest, "shift": shift}
    kernel, group = _begin(at, e, True, given, more)
    kernel.pieces = pieces = pieces_of(kernel.count, kernel.keys)
    orders = [axes_by_stride(at.plain(x)) for x in (q, k, v)]
    to_q, *others = e.outputs
    views = [_result(at, group, x, order) for x, order in zip(others, orders[1:], strict=True)]
    kernel.rows["to_k"], kernel.rows["to_v"] = (_rows(view) for view in views)
    if pieces == 1:
        whole = _result(at, group, to_q, orders[0])
        kernel.rows["to_q"] = _rows(whole)
        return (whole, *views)
    shape = tuple(to_q.shape)
    parts = _memory(at, group, (pieces, *shape), to_q.dtype, [0, *(d + 1 for d in orders[0])])
    kernel.rows["to_q"], kernel.apart = _rows(parts.index((0,))), parts.strides[0]
    total = at.reduce_last(parts.permute((*range(1, len(shape) + 1), 0)), "Sum", orders[0])
    return (total, *views)


def pieces_of(count: int, keys: int) -> int:
    """Into how many pieces the keys are cut: the sums of a piece stay in the cache, and there is work for many threads.

    >>> pieces_of(64, 128), pieces_of(4, 1024), pieces_of(64, 1024)
    (1, 4, 2)
    """
    wanted = max(-(-keys // MOST_KEYS), min(-(-PARTS // count), keys // LEAST_KEYS), 1)
    return -(-keys // _piece(keys, wanted))


def _piece(keys: int, pieces: int) -> int:
    """So many keys are one piece: a multiple of 16, so that most pieces have no rest."""
    return -(-keys // pieces // 16) * 16 if pieces > 1 else keys


def keys_of_a_piece(kernel: Attention) -> int:
    """How many keys each piece but the last has."""
    return _piece(kernel.keys, kernel.pieces)


def _begin(
    at: Lowering, e: Equation, gradient: bool, given: dict[str, Any], more: Sequence[Any]
) -> tuple[Attention, Group]:
    """A kernel that reads what is given, and its group."""
    bias, kept = parts_of(tuple(more), e.parameters["keep"])
    given = {**given, **dict(zip(["kept"], kept, strict=False))}
    q, k, v = (given[name] for name in "qkv")
    views = {name: at.plain(x) for name, x in given.items()}
    for name, view in views.items():
        if (view.shape[-1] != 1 and view.strides[-1] != 1) or _joined(view, name) is None:
            views[name] = at.copy(given[name])
    kind = ""
    if bias:
        view = views["bias"] = at.plain(bias[0])
        along_queries, along_keys = (
            s if n != 1 else 0 for s, n in zip(view.strides[-2:], view.shape[-2:], strict=True)
        )
        kind = "full" if along_queries else "row"
        together = along_keys == 1 or (kind == "row" and q.shape[-2] > FEW)
        if (not together and view.shape[-1] != 1) or _joined(view, "bias") is None:
            views["bias"] = at.copy(bias[0])
            kind = "full"
    batch = math.prod(q.shape[:-2])
    nest = Nest([batch, q.shape[-2], k.shape[-2]])
    group = at.group(nest, open=False)
    kernel = Attention(
        gradient, {}, _front(q.shape), q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1], e.parameters["scale"],
        e.parameters["causal"], kind, q.dtype, e.parameters["keep"],
    )  # fmt: skip
    group.own = kernel
    for name, view in views.items():
        kernel.rows[name] = _rows(view, name not in ("logsumexp", "rest", "shift"))
        at.read(group, view.buffer)
    return kernel, group


def _front(shape: Shape) -> tuple[int, ...]:
    """The extents of the dimensions in front: those beyond what a kernel counts are one."""
    front = shape[:-2]
    if len(front) > BATCH:
        front = (math.prod(front[: len(front) - BATCH + 1]), *front[len(front) - BATCH + 1 :])
    return (*[1] * (BATCH - len(front)), *front)


def _joined(view: View, name: str) -> View | None:
    """A view whose dimensions in front are as many as a kernel counts, if strides can say so."""
    behind = 1 if name in ("logsumexp", "rest", "shift") else 2
    front, rest = view.shape[: len(view.shape) - behind], view.shape[len(view.shape) - behind :]
    return view.reshape((*_front((*front, 1, 1)), *rest))


def _rows(view: View, matrices: bool = True) -> Rows:
    """How a kernel walks through a view."""
    flat = _joined(view, "" if matrices else "rest")
    assert flat is not None
    strides = flat.strides if matrices else (*flat.strides, 1)
    return Rows(view.buffer, view.offset, strides[:BATCH], strides[BATCH], strides[BATCH + 1])


def _result(at: Lowering, group: Group, x: Any, order: Sequence[int], name: str = "") -> View:
    """Where the group writes a value: where the program gives it out, if it does and a kernel can walk there."""
    view = at.results.get(x)
    if view is None or view.strides[-1] != 1 or _joined(view, name) is None:
        return _memory(at, group, tuple(x.shape), x.dtype, order)
    at.written(group, view.buffer)
    return view


def _memory(at: Lowering, group: Group, shape: Sequence[int], dtype: DataType, order: Sequence[int]) -> View:
    """Memory that the group writes, in an order of dimensions of which the last stays the last."""
    rank = len(shape)
    order = [*(d for d in order if d != rank - 1), rank - 1]
    view = at.allocate(tuple(shape), dtype, range(rank), order, ())
    if _joined(view, "" if rank > 1 else "rest") is None:
        view = at.allocate(tuple(shape), dtype, range(rank), range(rank), ())
    at.written(group, view.buffer)
    return view
