"""Convolution as a matrix: every convolution is a linear map, so it is a product with some (sparse) matrix."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from chainrule.devices import CPU
from chainrule.errors import ShapeError
from chainrule.functions.creation import make, zeros
from chainrule.functions.promotion import need_tensor
from chainrule.nn.convolution.layers import per_dimension
from chainrule.nn.convolution.output_size import output_size
from chainrule.tensor import Tensor

Places = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]


def convolution_matrix(
    weight: Tensor,
    size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    sparse: bool = False,
) -> Any:
    """The matrix M with conv(x).flatten() = M·x.flatten(), for convolutions of one to three dimensions.

    weight: (C_out, C_in/groups, *kernel); size: the spatial size of one input (C_in, *size), an integer if it has one
    dimension or is square. M has C_out·∏output rows and C_in·∏size columns. The transposed convolution is Mᵀ, and so
    is the gradient in the input.

    M is a Tensor, differentiable in the weight; with `sparse` a SciPy CSR array of the entries at the weights' places,
    which for real images is the only one that fits into memory. Padding by zeros needs no columns: what a kernel meets
    outside is left out. For the matrix on the padded input give its size and no padding.

    Raises ShapeError where the kernel does not fit, ImportError for `sparse` without SciPy.

    Source: T 1.2, whose 4×6 matrix is the example.

    >>> import chainrule
    >>> convolution_matrix(chainrule.tensor([[[1.0, 2.0, 3.0]]]), 6)
    tensor([[1., 2., 3., 0., 0., 0.],
            [0., 1., 2., 3., 0., 0.],
            [0., 0., 1., 2., 3., 0.],
            [0., 0., 0., 1., 2., 3.]])
    """
    n = need_tensor(weight, "convolution_matrix").ndim - 2
    if n < 1 or groups < 1 or weight.shape[0] % groups:
        raise ShapeError(
            f"convolution_matrix: a weight is (C_out, C_in/groups, *kernel), got {tuple(weight.shape)} with "
            f"groups={groups}."
        )
    settings = [per_dimension(s, n, name) for s, name in ((size, "size"), (stride, "stride"), (dilation, "dilation"))]
    around = per_dimension(padding, n, "padding", 0)
    rows, columns, entries, shape = _places(tuple(weight.shape), settings[0], settings[1], around, settings[2], groups)
    if sparse:
        return _sparse(weight, rows, columns, entries, shape)
    values = weight.reshape(-1).index_select(0, make(entries, device=CPU))
    return zeros(*shape, dtype=weight.dtype, device=weight.device).index_put(
        (make(rows, device=CPU), make(columns, device=CPU)), values
    )


def _places(
    weight: tuple[int, ...],
    size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Places:
    """Row, column and place in the flattened weight of every entry that is not zero; and the matrix' shape."""
    channels_out, per_group, *kernel = weight
    out = output_size(size, tuple(kernel), stride, padding, dilation)
    # Axes: output channel, input channel of the group, output place, kernel place.
    o, i, *rest = np.ogrid[tuple(slice(extent) for extent in (channels_out, per_group, *out, *kernel))]
    places, offsets = rest[: len(out)], rest[len(out) :]
    row, column = o, o // (channels_out // groups) * per_group + i
    entry, inside = o * per_group + i, np.ones((), bool)
    for axis, (extent, count, k) in enumerate(zip(size, out, kernel, strict=True)):
        met = places[axis] * stride[axis] + offsets[axis] * dilation[axis] - padding[axis]
        inside = inside & (met >= 0) & (met < extent)
        row, column, entry = row * count + places[axis], column * extent + met, entry * k + offsets[axis]
    shape = (channels_out * math.prod(out), per_group * groups * math.prod(size))
    found = np.broadcast_arrays(row, column, entry, inside)
    kept = found[3].reshape(-1)
    rows, columns, entries = (part.reshape(-1)[kept] for part in found[:3])
    return rows, columns, entries, shape


def _sparse(weight: Tensor, rows: np.ndarray, columns: np.ndarray, entries: np.ndarray, shape: tuple[int, int]) -> Any:
    try:
        csr_array = importlib.import_module("scipy.sparse").csr_array
    except ImportError:
        raise ImportError("convolution_matrix(sparse=True) needs SciPy: pip install scipy.") from None
    return csr_array((weight.detach().numpy().reshape(-1)[entries], (rows, columns)), shape=shape)
