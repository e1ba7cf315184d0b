"""Sparse tensors: the places that are not zero, and the values there. PyTorch's `sparse`, as far as graphs need it.

`chainrule.sparse_coo_tensor` and `sparse_csr_tensor` make them, `x.to_sparse()` takes one out of a dense tensor.
Everything is computed by look-ups (`index_select`) and sums at places (`index_add`) of dense tensors, so gradients
and compiled steps work as they do there.
"""

from chainrule.layouts import sparse_coo, sparse_csr
from chainrule.sparse.making import (
    DoubleTensor,
    FloatTensor,
    IntTensor,
    LongTensor,
    sparse_coo_tensor,
    sparse_csr_tensor,
    spdiags,
)
from chainrule.sparse.products import addmm, mm
from chainrule.sparse.softmax import log_softmax, softmax
from chainrule.sparse.sums import sum
from chainrule.sparse.tensor import SparseTensor

__all__ = [
    "DoubleTensor", "FloatTensor", "IntTensor", "LongTensor", "SparseTensor", "addmm", "log_softmax", "mm",
    "softmax", "sparse_coo", "sparse_coo_tensor", "sparse_csr", "sparse_csr_tensor", "spdiags", "sum",
]  # fmt: skip
