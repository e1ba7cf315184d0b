"""Products summed over shared dimensions."""

from __future__ import annotations

import math
import string
from typing import TYPE_CHECKING, Any

from chainrule.cell import TensorCell
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.autocasting import in_half, in_own_type
from chainrule.functions.promotion import cast, common_shape, expand_to, is_sparse, need_tensor, whole_factor
from chainrule.primitives.contraction import MatMul

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def _same_dtype(input: Tensor, other: Tensor, operation: str) -> None:
    if input.value.array.dtype != other.value.array.dtype:
        raise DTypeError(
            f"{operation}: both must have one data type, got {input.dtype} and {other.dtype}; convert with .to(…)."
        )


@in_half
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product input @ other.

    Vectors count as a row on the left and a column on the right; dimensions before the last two broadcast.

    Raises ShapeError where the inner extents differ, DTypeError where the data types do.

    >>> import chainrule
    >>> chainrule.matmul(chainrule.tensor([[1.0, 2.0], [3.0, 4.0]]), chainrule.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    if is_sparse(input):
        return input @ other
    if is_sparse(other):
        return other.__rmatmul__(input)  # type: ignore[attr-defined]
    x, y = need_tensor(input, "matmul"), need_tensor(other, "matmul")
    _same_dtype(x, y, "matmul")
    a, b = x.value.array.shape, y.value.array.shape
    if not a or not b:
        raise ShapeError(f"matmul: {a} @ {b}: a number has no rows; use * instead.")
    if a[-1] != b[-2 if len(b) > 1 else 0]:
        raise ShapeError(
            f"matmul: {a} @ {b}: the last extent of the first, {a[-1]}, must equal "
            f"{b[-2 if len(b) > 1 else 0]} of the second." + (" Did you mean x @ y.mT?" if a[-1] == b[-1] else "")
        )
    if len(a) == len(b) == 2:
        return MatMul.apply(x, y)
    if len(b) == 2 and len(a) > 2:  # one large product instead of many small ones
        return MatMul.apply(x.reshape(math.prod(a[:-1]), a[-1]), y).reshape(*a[:-1], b[-1])
    if len(a) == 1:
        return matmul(x.unsqueeze(0), y).squeeze(-2 if len(b) > 1 else 0)
    if len(b) == 1:
        return matmul(x, y.unsqueeze(1)).squeeze(-1)
    batch = common_shape([a[:-2], b[:-2]])
    return MatMul.apply(expand_to(x, batch + a[-2:]), expand_to(y, batch + b[-2:]))


@in_half
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices; `matmul` without batches.

    >>> import chainrule
    >>> chainrule.mm(chainrule.eye(2), chainrule.ones(2, 1)).shape
    Size([2, 1])
    """
    return _product_of_rank(input, mat2, 2, 2, "mm")


@in_half
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """A product for each pair of matrices: (B, n, m) @ (B, m, p).

    Raises a ShapeError unless there are as many of both: `matmul` broadcasts, this does not.

    >>> import chainrule
    >>> chainrule.bmm(chainrule.ones(3, 2, 4), chainrule.ones(3, 4, 1)).shape
    Size([3, 2, 1])
    """
    need_pairs(input, mat2, "bmm")
    return _product_of_rank(input, mat2, 3, 3, "bmm")


def need_pairs(input: Tensor, mat2: Tensor, operation: str) -> None:
    """Raise a ShapeError where two batches of matrices are not equally large."""
    if input.ndim == mat2.ndim == 3 and input.shape[0] != mat2.shape[0]:
        raise ShapeError(
            f"{operation}: {input.shape[0]} matrices {tuple(input.shape)} and {mat2.shape[0]} matrices "
            f"{tuple(mat2.shape)} make no pairs; matmul broadcasts a single one."
        )


@in_own_type
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Matrix times vector.

    >>> import chainrule
    >>> chainrule.mv(chainrule.eye(2), chainrule.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    return _product_of_rank(input, vec, 2, 1, "mv")


@in_own_type
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Σ xᵢyᵢ of two vectors.

    >>> import chainrule
    >>> chainrule.dot(chainrule.tensor([1, 2]), chainrule.tensor([3, 4]))
    tensor(11)
    """
    return _product_of_rank(input, tensor, 1, 1, "dot")


def _product_of_rank(x: Tensor, y: Tensor, first: int, second: int, operation: str) -> Tensor:
    if x.ndim != first or y.ndim != second:
        raise ShapeError(
            f"{operation} takes {first}-d and {second}-d tensors, got {tuple(x.shape)} and {tuple(y.shape)}; "
            "matmul takes all kinds."
        )
    return matmul(x, y)


@in_half
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · (mat1 @ mat2). The input has the product's shape, or broadcasts to it.

    >>> import chainrule
    >>> chainrule.addmm(chainrule.ones(2), chainrule.eye(2), chainrule.eye(2)).sum()
    tensor(6.)
    """
    return joined(input, mm(mat1, mat2), beta, alpha, "addmm")


def joined(input: Tensor, product: Tensor, beta: float, alpha: float, operation: str) -> Tensor:
    """beta · input + alpha · product, in the product's shape; with beta 0 the input does not count, not even NaN in it.

    Raises a ShapeError for an input that does not broadcast to the product, a DTypeError for a fraction beside whole
    numbers.
    """
    own, shape = tuple(input.shape), tuple(product.shape)
    if len(own) > len(shape) or any(a not in (1, b) for a, b in zip(own[::-1], shape[::-1])):
        raise ShapeError(f"{operation}: the input {own} does not broadcast to the product {shape} that it is added to.")
    kind = product.dtype if product.dtype.kind == 2 else input.dtype
    beta, alpha = whole_factor(beta, kind, operation, "beta"), whole_factor(alpha, kind, operation, "alpha")
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    return (input if beta == 1 else input * beta) + scaled


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Σₖ input[…, k] · other[…, k]: sums over the last dimension of both, for all pairs of the others.

    >>> import chainrule
    >>> chainrule.inner(chainrule.tensor([1, 2]), chainrule.tensor([3, 4]))
    tensor(11)
    """
    if not input.ndim or not other.ndim:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """z[i, j] = xᵢ · yⱼ of two vectors.

    >>> import chainrule
    >>> chainrule.outer(chainrule.tensor([1, 2]), chainrule.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    if input.ndim != 1 or vec2.ndim != 1:
        raise ShapeError(f"outer takes two vectors, got {tuple(input.shape)} and {tuple(vec2.shape)}.")
    return input.unsqueeze(1) * vec2.unsqueeze(0)


@in_half
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sum of products over pairs of dimensions: the last `dims` of a with the first of b, or two lists.

    >>> import chainrule
    >>> chainrule.tensordot(chainrule.ones(2, 3), chainrule.ones(3, 4), 1).shape
    Size([2, 4])
    """
    if isinstance(dims, int):
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = [d % a.ndim for d in dims[0]], [d % b.ndim for d in dims[1]]
    _same_dtype(a, b, "tensordot")
    names = [chr(ord("a") + i) for i in range(a.ndim + b.ndim)]
    first, second = names[: a.ndim], names[a.ndim :]
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
    kept = [n for i, n in enumerate(first) if i not in left] + [n for j, n in enumerate(second) if j not in right]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(kept)}", a, b)


# -------------------------------------------------------------------------------------------------- einsum


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products in Einstein's notation: `einsum("bij,bjk->bik", x, y)` is a batched matrix product.

    Letters name dimensions; those missing on the right are summed over; without "->" the letters that occur once
    remain, in alphabetical order. "..." stands for further dimensions, which broadcast. Tensors that share a dimension
    that is summed over have one data type; where none is, as in "i,j->ij", they promote as in a product.

    >>> import chainrule
    >>> x = chainrule.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> chainrule.einsum("ij->j", x), chainrule.einsum("ii", x)
    (tensor([4., 6.]), tensor(5.))
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    left, right = _read_equation(equation, operands)
    extents: dict[str, int] = {}
    terms = []
    for names, operand in zip(left, operands, strict=True):
        for name, extent in zip(names, operand.shape, strict=True):
            if extents.setdefault(name, extent) != extent and 1 not in (extents[name], extent):
                raise ShapeError(f"einsum {equation!r}: {name} is both {extents[name]} and {extent}.")
            extents[name] = max(extents[name], extent)
        terms.append(_without_repeats(names, operand))
    while len(terms) > 1:  # pairs from the left, summing what nobody needs any more
        (a, x), (b, y) = terms.pop(0), terms.pop(0)
        needed = set(right).union(*(names for names, _ in terms))
        terms.insert(0, _contract(a, x, b, y, needed, extents))
    names, result = terms[0]
    gone = tuple(i for i, name in enumerate(names) if name not in right)
    result = result.sum(gone) if gone else result
    names = [name for name in names if name in right]
    return result.permute([names.index(name) for name in right]) if names != right else result


def _read_equation(equation: str, operands: tuple[Any, ...]) -> tuple[list[list[str]], list[str]]:
    text = equation.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    parts = inputs.split(",")
    if len(parts) != len(operands) or not all(isinstance(x, TensorCell) for x in operands):
        raise ShapeError(f"einsum {equation!r} describes {len(parts)} tensors, got {len(operands)} arguments.")
    strange = sorted(set(text) - set("->,.") - set(string.ascii_letters))
    if strange:
        raise ShapeError(
            f"einsum {equation!r}: dimensions are named by letters, not by {', '.join(map(repr, strange))}."
        )
    named = [len(part.replace("...", "")) for part in parts]
    rest = [x.ndim - count if "..." in part else 0 for part, count, x in zip(parts, named, operands, strict=True)]
    widest = max(rest, default=0)
    left = []
    for part, count, extra, operand in zip(parts, named, rest, operands, strict=True):
        if extra < 0 or ("..." not in part and operand.ndim != count):
            raise ShapeError(f"einsum {equation!r}: {part!r} names {count} dimensions, the tensor has {operand.ndim}.")
        dots = [f".{i}" for i in range(widest - extra, widest)]
        before, _, after = part.partition("...")
        left.append([*before, *dots, *after] if "..." in part else list(part))
    dots = [f".{i}" for i in range(widest)]
    if arrow:
        before, found, after = output.partition("...")
        right = [*before, *(dots if found else []), *after]
    else:
        every = [name for names in left for name in names]
        right = dots + sorted(name for name in set(every) if name[0] != "." and every.count(name) == 1)
    unknown = [name for name in right if not any(name in names for names in left)]
    if unknown or len(set(right)) != len(right):
        raise ShapeError(f"einsum {equation!r}: the output names {unknown or 'a dimension twice'}.")
    return left, right


def _without_repeats(names: list[str], x: Any) -> tuple[list[str], Any]:
    """The diagonal wherever a letter stands twice in one term."""
    while len(set(names)) < len(names):
        name = next(n for n in names if names.count(n) > 1)
        i = names.index(name)
        j = names.index(name, i + 1)
        x = x.diagonal(0, i, j)
        names = [n for k, n in enumerate(names) if k not in (i, j)] + [name]
    return names, x


def _contract(
    a: list[str], x: Any, b: list[str], y: Any, needed: set[str], extents: dict[str, int]
) -> tuple[list[str], Any]:
    """Two terms become one by a batched matrix product: (batch, left, summed) @ (batch, summed, right).

    Where nothing is left to sum over it is a product of entries: mixed types promote, and `autocast` leaves them.
    """
    shared = {n for n in a if n in b and n not in needed and 1 not in (x.shape[a.index(n)], y.shape[b.index(n)])}
    keeps = x.dtype == y.dtype  # else the sum of booleans or small integers counts in int64
    (a, x), (b, y) = (
        _summed_over([n for n in names if n not in needed | shared], names, t, keeps) for names, t in ((a, x), (b, y))
    )
    batch = [n for n in a if n in b and n in needed]
    left = [n for n in a if n not in b]
    right = [n for n in b if n not in a]
    if not shared:
        x, y = x.permute([a.index(n) for n in batch + left]), y.permute([b.index(n) for n in batch + right])
        x = x.reshape(*x.shape, *[1] * len(right))
        return batch + left + right, x * y.reshape(*y.shape[: len(batch)], *[1] * len(left), *y.shape[len(batch) :])
    summed = [n for n in a if n in shared]

    def arranged(x: Any, names: list[str], order: list[str], both: list[str]) -> Any:
        moved = x.permute([names.index(n) for n in order])
        return expand_to(moved, tuple(extents[n] if n in both else e for n, e in zip(order, moved.shape, strict=True)))

    def size(names: list[str]) -> int:
        return math.prod(extents[n] for n in names)

    both = batch + summed
    x = arranged(x, a, batch + left + summed, both).reshape(size(batch), -1 if size(both) else size(left), size(summed))
    y = arranged(y, b, batch + summed + right, both).reshape(
        size(batch), size(summed), -1 if size(both) else size(right)
    )
    names = batch + left + right
    return names, _product(x, y).reshape([extents[n] for n in names])


def _summed_over(gone: list[str], names: list[str], x: Any, keeps: bool) -> tuple[list[str], Any]:
    """A term without these dimensions; `keeps`: in its own data type."""
    places = tuple(i for i, n in enumerate(names) if n in gone)
    if not places:
        return names, x
    total = x.sum(places)
    return [n for n in names if n not in gone], cast(total, x.value.array.dtype) if keeps else total


@in_half
def _product(x: Any, y: Any) -> Any:
    _same_dtype(x, y, "einsum")
    return matmul(x, y)
