"""Making sparse tensors from places and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.devices import need_cpu
from chainrule.errors import DeviceError, DTypeError, IndexRangeError, ShapeError
from chainrule.functions.creation import as_tensor, empty, make, tensor
from chainrule.functions.pieces import stack
from chainrule.functions.promotion import is_tensor
from chainrule.layouts import layout, read_layout, sparse_coo, sparse_csr, strided
from chainrule.sparse.places import linear
from chainrule.sparse.tensor import SparseTensor, read_conversion

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def sparse_coo_tensor(
    indices: Any,
    values: Any = None,
    size: Sequence[int] | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """A sparse tensor with these values at these places; a place may come several times, its values are added.

    Args:
        indices: the places, (dimensions, entries), whole numbers from 0. A shape alone makes a tensor of zeros.
        values: (entries, …), numbers or tensors; gradients go to them. What follows the first dimension is dense.
        size: the shape; the smallest that has all places unless given.
        dtype: of the values; theirs unless given.
        requires_grad: whether the values, copied, become a leaf whose gradient is `x.grad`.
        is_coalesced: say that each place comes once, in order.
        device, pin_memory, check_invariants: taken for PyTorch's sake; places are checked in any case.

    Raises ShapeError where counts or shapes do not fit, IndexRangeError for a place outside of the shape.

    >>> import chainrule
    >>> chainrule.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
    tensor(indices=tensor([[0, 1],
                           [2, 0]]),
           values=tensor([3., 4.]),
           size=(2, 3), nnz=2, layout=chainrule.sparse_coo)
    """
    need_cpu(device)
    if values is None:
        size, indices = tuple(indices), np.zeros((len(tuple(indices)), 0), np.int64)
        values = empty(0, dtype=dtype)
    places, entries = _whole(indices, "indices"), _entries(values, dtype, requires_grad)
    if places.ndim != 2:
        raise ShapeError(f"indices are (dimensions, entries), got {tuple(places.shape)}.")
    if entries.ndim == 0 or entries.shape[0] != places.shape[1]:
        raise ShapeError(f"{places.shape[1]} places need as many values, got values of shape {tuple(entries.shape)}.")
    listed = places.shape[0]
    if size is None:
        ends = places.array.max(1) + 1 if places.shape[1] else np.zeros(listed, np.int64)
        size = (*ends.tolist(), *entries.shape[1:])
    if len(size) != listed + entries.ndim - 1 or tuple(size[listed:]) != tuple(entries.shape[1:]):
        raise ShapeError(
            f"{listed} listed dimensions and values of shape {tuple(entries.shape)} make a tensor of "
            f"{listed + entries.ndim - 1} dimensions, got size {tuple(size)}."
        )
    _check_places(places, tuple(size)[:listed])
    return SparseTensor(places, entries, size, bool(is_coalesced))


def sparse_csr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    layout: layout | None = None,
) -> SparseTensor:
    """A sparse matrix by rows: row i has the columns `col_indices[crow_indices[i]:crow_indices[i + 1]]`.

    Raises ShapeError or IndexRangeError where this makes no matrix: `crow_indices` begin at 0, never fall and end at
    the number of values; columns rise within a row. `layout` can only be `sparse_csr`, else a SparseError.

    >>> import chainrule
    >>> chainrule.sparse_csr_tensor([0, 1, 3], [2, 0, 2], [3.0, 4.0, 5.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 5.]])
    """
    need_cpu(device)
    read_layout("sparse_csr_tensor", layout, sparse_csr)
    crow, columns = _whole(crow_indices, "crow_indices"), _whole(col_indices, "col_indices")
    entries = _entries(values, dtype, requires_grad)
    if not crow.ndim == columns.ndim == entries.ndim == 1 or columns.shape != entries.shape:
        raise ShapeError("sparse_csr_tensor takes vectors, as many columns as values.")
    starts, count = crow.array, columns.shape[0]
    if not len(starts) or starts[0] != 0 or starts[-1] != count or (np.diff(starts) < 0).any():
        raise ShapeError(f"crow_indices begin at 0, never fall and end at the number of values, {count}; got {crow}.")
    if size is None:
        size = (len(starts) - 1, int(columns.array.max()) + 1 if count else 0)
    if len(size) != 2 or size[0] != len(starts) - 1:
        raise ShapeError(f"{len(starts)} crow_indices are of {len(starts) - 1} rows, got size {tuple(size)}.")
    rows = make(np.repeat(np.arange(len(starts) - 1), np.diff(starts)))
    places = stack([rows, columns])
    _check_places(places, tuple(size))
    within = rows.array[1:] == rows.array[:-1]
    if (np.diff(columns.array)[within] <= 0).any():
        raise ShapeError("col_indices rise within each row, and none comes twice.")
    return SparseTensor(places, entries, size, True, crow)


def _on_the_cpu(x: Tensor) -> Tensor:
    if not x.is_cpu:
        raise DeviceError(
            f"sparse tensors are on the CPU only, and this tensor is on {x.device}: write x.cpu(). Where the default "
            'device is another one, make it with device="cpu", or run the script without CHAINRULE_DEVICE.'
        )
    return x


def _whole(numbers: Any, what: str) -> Tensor:
    given = _on_the_cpu(as_tensor(numbers))
    if given.numel() and given.value.array.dtype.kind not in "iu":
        raise DTypeError(f"{what} are whole numbers, got {given.dtype}.")
    return given.long()


def _entries(values: Any, dtype: Any, requires_grad: bool) -> Tensor:
    given = _on_the_cpu(as_tensor(values, dtype=dtype))
    return given.detach().clone().requires_grad_() if requires_grad else given


def _check_places(places: Tensor, extents: tuple[int, ...]) -> None:
    array = places.value.array
    if not isinstance(array, np.ndarray):
        return  # while a step is traced there are no numbers: whoever reads at these places checks them
    for axis, extent in enumerate(extents):
        if array.shape[1] and not (array[axis].min() >= 0 and array[axis].max() < extent):
            raise IndexRangeError(
                f"the places along dimension {axis} go from {array[axis].min()} to {array[axis].max()}, the size there "
                f"is {extent}."
            )


def spdiags(diagonals: Tensor, offsets: Tensor, shape: Sequence[int], layout: layout | None = None) -> SparseTensor:
    """A sparse matrix with the rows of `diagonals` on its diagonals: column j of row k at (j − offsets[k], j).

    `layout` is `sparse_coo` unless given, or `sparse_csr`. Raises SparseError for another.

    >>> import chainrule
    >>> spdiags(chainrule.ones(1, 2), chainrule.tensor([0]), (2, 2)).to_dense()
    tensor([[1., 0.],
            [0., 1.]])
    """
    wanted = read_layout("spdiags", layout, sparse_coo, sparse_csr)
    steps = np.atleast_1d(offsets.array)
    table = diagonals.reshape(len(steps), -1)
    which, columns = np.nonzero(np.ones(tuple(table.shape)))
    rows = columns - steps[which]
    inside = (rows >= 0) & (rows < shape[0]) & (columns < shape[1])
    order = np.flatnonzero(inside)[np.lexsort([columns[inside], rows[inside]])]
    entries = table.reshape(-1)[make(order)]
    found = sparse_coo_tensor(np.stack([rows[order], columns[order]]), entries, shape, is_coalesced=True)
    return found.to_sparse_csr() if wanted is sparse_csr else found


def _from_dense(dense: Tensor, sparse_dim: int | None = None) -> SparseTensor:
    """The entries of a dense tensor that are not zero; with fewer listed dimensions, slices that are not all zero."""
    rank = _on_the_cpu(dense).ndim if sparse_dim is None else sparse_dim
    if not 1 <= rank <= max(dense.ndim, 1) or not dense.ndim:
        raise ShapeError(f"to_sparse lists 1 to {dense.ndim} dimensions of {tuple(dense.shape)}, got {rank}.")
    array = dense.array != 0
    found = np.stack(np.nonzero(array.any(tuple(range(rank, dense.ndim))) if rank < dense.ndim else array))
    entries = dense[tuple(make(row) for row in found)]
    return SparseTensor(make(found.astype(np.int64)), entries, dense.shape, True)


def to_sparse(
    x: Tensor,
    sparse_dim: int | None = None,
    *,
    layout: Any = None,
    blocksize: Any = None,
    dense_dim: int | None = None,
) -> Any:
    """The entries that are not zero.

    Args:
        sparse_dim: how many dimensions, the first ones, the places list; all unless given.
        layout: `sparse_coo`, or `sparse_csr` for rows; `strided` gives the tensor back.
        blocksize: refused, there are no blocks.
        dense_dim: how many dimensions, the last ones, the places do not list: the same said from the other end.

    Raises SparseError for a layout that is not here, a block size and counts that are no whole numbers, ShapeError for
    counts that do not fit.

    >>> import chainrule
    >>> chainrule.eye(2).to_sparse(dense_dim=1).values()
    tensor([[1., 0.],
            [0., 1.]])
    """
    wanted = read_conversion(sparse_dim, layout, blocksize, dense_dim)
    if wanted is strided:
        return x
    if wanted is sparse_csr:
        return to_sparse_csr(x, dense_dim)
    return _from_dense(x, x.ndim - dense_dim if dense_dim is not None else sparse_dim)


def to_sparse_coo(x: Tensor) -> SparseTensor:
    """The entries that are not zero, their places listed."""
    return _from_dense(x)


def to_sparse_csr(x: Tensor, dense_dim: int | None = None) -> SparseTensor:
    """The entries of a matrix that are not zero, row by row.

    Raises ShapeError if it is no matrix, and for a `dense_dim` other than 0.

    >>> import chainrule
    >>> chainrule.eye(2).to_sparse_csr().crow_indices()
    tensor([0, 1, 2])
    """
    if dense_dim:
        raise ShapeError("to_sparse_csr: the entries are numbers here, so there is no dense dimension.")
    return _from_dense(x).to_sparse_csr()


def sparse_mask(x: Tensor, mask: SparseTensor) -> SparseTensor:
    """The tensor's entries at the places of another one, which is sparse. Raises ShapeError if their shapes differ.

    >>> import chainrule
    >>> chainrule.ones(2, 2).sparse_mask(chainrule.eye(2).to_sparse()).to_dense()
    tensor([[1., 0.],
            [0., 1.]])
    """
    whole = mask.coalesce()
    if tuple(x.shape) != tuple(mask.shape):
        raise ShapeError(f"sparse_mask: a tensor of {tuple(x.shape)} and a mask of {tuple(mask.shape)}.")
    return whole._with(x.reshape(-1, *whole._entries.shape[1:])[linear(whole._places, whole._listed())])


def _typed(name: str, dtype: str) -> Any:
    def constructor(indices: Any, values: Any = None, size: Sequence[int] | None = None) -> SparseTensor:
        given = values if values is None or is_tensor(values) else tensor(values)
        return sparse_coo_tensor(indices, given, size, dtype=dtype)

    constructor.__name__ = name
    constructor.__doc__ = f"`sparse_coo_tensor` with {dtype} values, under its old name."
    return constructor


FloatTensor = _typed("FloatTensor", "float32")
DoubleTensor = _typed("DoubleTensor", "float64")
LongTensor = _typed("LongTensor", "int64")
IntTensor = _typed("IntTensor", "int32")
