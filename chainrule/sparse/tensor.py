"""SparseTensor: the places of a tensor that are not zero, and the values there.

The design in one paragraph: a sparse tensor is two dense ones, `places` (one column of numbers for each entry) and
`entries`. Whatever is linear is computed from entries as they are, so a place may come several times (its entries are
meant to be added); what is not linear adds them up before (`coalesce`). Compressed rows (CSR) are the same with the
entries sorted by row, and remember where each row begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from chainrule import layouts
from chainrule.cell import Size
from chainrule.errors import GradientError, ShapeError, SparseError
from chainrule.functions.creation import make
from chainrule.layouts import read_layout, sparse_coo, sparse_csr, strided
from chainrule.sparse.arithmetic import Arithmetic
from chainrule.sparse.places import linear, places_of

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class SparseTensor(Arithmetic):
    """A tensor of which only some places are kept; all others are zero.

    It is no `Tensor`: `to_dense()` makes one. What it can: products with dense and sparse matrices (`@`), sums,
    multiples, transposes, elementwise functions that leave zero at zero, `coalesce`. Gradients go to its values.
    Made by `sparse_coo_tensor`, `sparse_csr_tensor` and `Tensor.to_sparse`.

    Attributes:
        shape: of the whole tensor, places of zero included.
        layout: `sparse_coo` or `sparse_csr`.

    >>> import chainrule
    >>> A = chainrule.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
    >>> A @ chainrule.ones(3, 1)
    tensor([[3.],
            [9.]])
    """

    is_sparse = True
    is_cuda, is_quantized, is_meta = False, False, False

    def __init__(
        self, places: Tensor, entries: Tensor, shape: Sequence[int], coalesced: bool = False, crow: Tensor | None = None
    ) -> None:
        """Use `sparse_coo_tensor` and the like, which check what they are given."""
        self._places = places
        self._entries = entries
        self.shape = Size(shape)
        self._coalesced = coalesced
        self._crow = crow

    # ------------------------------------------------------------------------------------ what it is

    @property
    def layout(self) -> layouts.layout:
        """`sparse_coo` or `sparse_csr`."""
        return sparse_coo if self._crow is None else sparse_csr

    @property
    def is_sparse_csr(self) -> bool:
        """Whether rows are compressed."""
        return self._crow is not None

    @property
    def dtype(self) -> Any:
        """The data type of the values."""
        return self._entries.dtype

    @property
    def device(self) -> Any:
        """The CPU."""
        return self._entries.device

    @property
    def ndim(self) -> int:
        """How many dimensions there are."""
        return len(self.shape)

    def dim(self) -> int:
        """How many dimensions there are."""
        return self.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one extent."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """How many entries the whole tensor has, zeros included."""
        return math.prod(self.shape)

    def sparse_dim(self) -> int:
        """How many dimensions are listed by place."""
        return int(self._places.shape[0])

    def dense_dim(self) -> int:
        """How many dimensions each value has."""
        return self._entries.ndim - 1

    def _nnz(self) -> int:
        return int(self._entries.shape[0])

    def __len__(self) -> int:
        return self.shape[0]

    # ------------------------------------------------------------------------------------ its parts

    def indices(self) -> Tensor:
        """The places, (dimensions, entries). Raises SparseError unless it is coalesced, as PyTorch."""
        self._need_coo("indices")
        return self._need_coalesced("indices")._places

    def values(self) -> Tensor:
        """The values in the order of `indices()`. Raises SparseError unless it is coalesced."""
        return self._need_coalesced("values")._entries

    def _indices(self) -> Tensor:
        self._need_coo("_indices")
        return self._places

    def _values(self) -> Tensor:
        return self._entries

    def crow_indices(self) -> Tensor:
        """Where the entries of each row begin, and the end: (rows + 1,). Raises SparseError if it is not CSR."""
        if self._crow is None:
            raise SparseError("crow_indices: this tensor lists places (COO); to_sparse_csr() compresses its rows.")
        return self._crow

    def col_indices(self) -> Tensor:
        """The column of each value. Raises SparseError if it is not CSR."""
        self.crow_indices()
        return self._places[1]

    def _need_coo(self, what: str) -> None:
        if self._crow is not None:
            raise SparseError(f"{what}: rows are compressed (CSR) here; use crow_indices() and col_indices().")

    def _need_coalesced(self, what: str) -> SparseTensor:
        if not self._coalesced:
            raise SparseError(f"{what}: places may come several times in this tensor; call coalesce() first.")
        return self

    def is_coalesced(self) -> bool:
        """Whether each place comes once, in order."""
        return self._coalesced

    def coalesce(self) -> SparseTensor:
        """The same with each place once, in order; the values of one place are added.

        >>> import chainrule
        >>> chainrule.sparse_coo_tensor([[1, 0, 1]], [1.0, 2.0, 3.0], (2,)).coalesce().values()
        tensor([2., 4.])
        """
        if self._coalesced:
            return self
        extents = self._listed()
        numbers, slot = np.unique(linear(self._places.array, extents), return_inverse=True)
        entries = self._added(make(slot.reshape(-1)), len(numbers))
        return SparseTensor(make(places_of(numbers, extents)), entries, self.shape, True)

    def _listed(self) -> tuple[int, ...]:
        return tuple(self.shape)[: self.sparse_dim()]

    def _added(self, slots: Tensor, count: int) -> Tensor:
        """The entries added up in so many slots."""
        entries = self._entries
        if entries.value.array.dtype.kind == "b":  # true where any is
            return self.long()._added(slots, count) != 0
        return entries.new_zeros((count, *entries.shape[1:])).index_add(0, slots, entries)

    # ------------------------------------------------------------------------------------ gradients

    @property
    def requires_grad(self) -> bool:
        """Whether the values want a gradient."""
        return self._entries.requires_grad

    @property
    def is_leaf(self) -> bool:
        """Whether the values were computed from nothing that wants a gradient."""
        return self._entries.is_leaf

    @property
    def grad(self) -> SparseTensor | None:
        """The gradient of the values, at their places."""
        gradient = self._entries.grad
        return None if gradient is None else self._with(gradient)

    @grad.setter
    def grad(self, value: SparseTensor | None) -> None:
        if value is not None and value._nnz() != self._nnz():
            raise GradientError(f"the gradient has {value._nnz()} values, the tensor {self._nnz()}.")
        self._entries.grad = None if value is None else value._entries

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """Want gradients of the values (or not)."""
        self._entries.requires_grad_(requires_grad)
        return self

    # ------------------------------------------------------------------------------------ other forms

    def _with(self, entries: Tensor) -> SparseTensor:
        shape = (*self._listed(), *entries.shape[1:])
        return SparseTensor(self._places, entries, shape, self._coalesced, self._crow)

    def _apart(self) -> tuple[tuple[Tensor, Tensor], Callable[[Tensor, Tensor], SparseTensor]]:
        """The two tensors it is made of, and what makes the same of two others."""
        shape, coalesced, crow = self.shape, self._coalesced, self._crow
        return (self._places, self._entries), lambda places, entries: SparseTensor(
            places, entries, shape, coalesced, crow
        )

    def detach(self) -> SparseTensor:
        """The same without its history."""
        return self._with(self._entries.detach())

    def clone(self) -> SparseTensor:
        """A copy."""
        return self._with(self._entries.clone())

    def to(self, *args: Any, **kwargs: Any) -> SparseTensor:
        """With values of another data type; as `Tensor.to`."""
        return self._with(self._entries.to(*args, **kwargs))

    def cpu(self) -> SparseTensor:
        """The tensor itself."""
        return self

    def cuda(self, *args: Any) -> SparseTensor:
        """Raises DeviceError: there is only the CPU."""
        return self.to("cuda")

    def to_dense(self) -> Tensor:
        """The whole tensor, zeros included.

        >>> import chainrule
        >>> chainrule.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 2)).to_dense()
        tensor([[0., 1.],
                [2., 0.]])
        """
        slots = linear(self._places, self._listed())
        return self._added(slots, math.prod(self._listed())).reshape(tuple(self.shape))

    def to_sparse(
        self, sparse_dim: int | None = None, *, layout: Any = None, blocksize: Any = None, dense_dim: int | None = None
    ) -> Any:
        """In the given layout, places listed (COO) unless given; `strided` gives a dense tensor. As `Tensor.to_sparse`.

        Raises SparseError for another layout, for blocks, and for other counts of dimensions than its own.
        """
        wanted = read_conversion(sparse_dim, layout, blocksize, dense_dim)
        if sparse_dim not in (None, self.sparse_dim()) or dense_dim not in (None, self.dense_dim()):
            raise SparseError(
                f"to_sparse: {self.sparse_dim()} dimensions are listed here and {self.dense_dim()} are not; for other "
                "counts go through to_dense()."
            )
        if wanted is strided:
            return self.to_dense()
        return self.to_sparse_csr() if wanted is sparse_csr else self.to_sparse_coo()

    def to_sparse_coo(self) -> SparseTensor:
        """With its places listed."""
        return SparseTensor(self._places, self._entries, self.shape, self._coalesced)

    def to_sparse_csr(self) -> SparseTensor:
        """With its rows compressed. Raises ShapeError if it is no matrix of numbers."""
        if self._crow is not None:
            return self
        self._need_matrix("to_sparse_csr")
        whole = self.coalesce()
        counts = np.bincount(whole._places.array[0], minlength=self.shape[0])
        crow = make(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        return SparseTensor(whole._places, whole._entries, self.shape, True, crow)

    def _need_matrix(self, what: str) -> None:
        if self.ndim != 2 or self.sparse_dim() != 2:
            raise ShapeError(f"{what} takes a sparse matrix whose two dimensions are listed, got {tuple(self.shape)}.")

    # ------------------------------------------------------------------------------------ dimensions

    def transpose(self, dim0: int, dim1: int) -> SparseTensor:
        """With two dimensions exchanged; places are listed then. Both must be dimensions that places list."""
        rank = self.sparse_dim()
        axes = [*range(rank)]
        first, second = (self._axis(dim) for dim in (dim0, dim1))
        if max(first, second) >= rank:
            raise SparseError(
                f"transpose: of {self.ndim} dimensions the first {rank} are listed; exchange two of these."
            )
        axes[first], axes[second] = axes[second], axes[first]
        shape = list(self.shape)
        shape[first], shape[second] = shape[second], shape[first]
        return SparseTensor(self._places[axes], self._entries, shape)

    def t(self) -> SparseTensor:
        """The transpose of a matrix."""
        if self.ndim != 2:
            raise ShapeError(f"t takes a matrix, got {tuple(self.shape)}.")
        return self.transpose(0, 1)

    @property
    def T(self) -> SparseTensor:
        """The transpose of a matrix."""
        return self.t()

    @property
    def mT(self) -> SparseTensor:
        """The last two dimensions exchanged."""
        return self.transpose(-2, -1)

    def _axis(self, dim: Any) -> Any:
        if not -self.ndim <= dim < self.ndim:
            raise ShapeError(f"dimension {dim} of a tensor with {self.ndim}.")
        return dim % self.ndim

    def index_select(self, dim: Any, index: Tensor) -> SparseTensor:
        """The slices at the listed places along a listed dimension, each as often as it is named."""
        axis, wanted, own = self._axis(dim), np.asarray(index.array).reshape(-1), self._places.array
        if axis >= self.sparse_dim():
            return self._with(self._entries.index_select(axis - self.sparse_dim() + 1, index))
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < self.shape[axis]):
            raise ShapeError(f"index_select: places from {wanted.min()} to {wanted.max()} of {self.shape[axis]}.")
        new, old = np.nonzero(wanted[:, None] == own[axis][None, :])
        places = own[:, old]
        places[axis] = new
        shape = [*self.shape]
        shape[axis] = len(wanted)
        return SparseTensor(make(places), self._entries[make(old)], shape)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, place: Any) -> Any:
        if not isinstance(place, int):
            raise SparseError("a sparse tensor gives single rows, x[i]; for more use index_select or to_dense().")
        axis = place + len(self) if place < 0 else place
        row = self.index_select(0, make(np.array([axis])))
        if row.sparse_dim() == 1:
            return row._entries.sum(0)
        return SparseTensor(row._places[1:], row._entries, self.shape[1:])

    # ------------------------------------------------------------------------------------ the rest

    def __repr__(self) -> str:
        values = self._entries.detach()
        if self._crow is None:
            parts = [("indices", self._places), ("values", values)]
        else:
            parts = [("crow_indices", self._crow), ("col_indices", self._places[1]), ("values", values)]
        lines = [f"{name}=" + repr(part).replace("\n", "\n" + " " * (len(name) + 8)) for name, part in parts]
        tail = f"size={tuple(self.shape)}, nnz={self._nnz()}, layout={self.layout!r}"
        if self.requires_grad:
            tail += ", requires_grad=True" if self.is_leaf else f", grad_fn={self._entries.grad_fn!r}"
        return "tensor(" + ",\n       ".join([*lines, tail]) + ")"

    def __getattr__(self, name: str) -> NoReturn:
        hint = "" if name.startswith("_") else ": to_dense() makes a tensor that may, _values() gives the values."
        raise AttributeError(f"a sparse tensor has no {name!r}{hint}")

    def __reduce__(self) -> Any:
        return SparseTensor, (self._places, self._entries, tuple(self.shape), self._coalesced, self._crow)

    def __bool__(self) -> NoReturn:
        raise SparseError("a sparse tensor is neither true nor false; ask its _values() or to_dense().")


def read_conversion(sparse_dim: Any, layout: Any, blocksize: Any, dense_dim: Any) -> layouts.layout:
    """The layout that `to_sparse` (dense or sparse tensor) is asked for. Raises SparseError for what is not here."""
    if blocksize is not None:
        raise SparseError("to_sparse: there are no blocks here; leave `blocksize` out.")
    if sparse_dim is not None and (layout is not None or dense_dim is not None):
        raise SparseError("to_sparse takes either sparse_dim, or layout and dense_dim.")
    for name, count in (("sparse_dim", sparse_dim), ("dense_dim", dense_dim)):
        if not isinstance(count, int | np.integer | None):
            raise SparseError(f"to_sparse: {name} counts dimensions, got {count!r}; a layout is given as layout=….")
    return read_layout("to_sparse", layout, sparse_coo, sparse_csr, strided)
