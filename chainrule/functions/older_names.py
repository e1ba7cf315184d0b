"""PyTorch's older functions, which programs still use: `range`, and linear algebra from before `linalg`."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.cell import TensorCell
from chainrule.functions import linalg
from chainrule.functions import lu as factors
from chainrule.functions.creation import arange

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class SVDOfOld(NamedTuple):
    """U, the singular values S, and V (not Vᵀ) of a singular value decomposition."""

    U: Any
    S: Any
    V: Any


def range(
    start: float = 0,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers start, start + step, … up to end, which is one of them; use `arange`, which leaves it out.

    >>> import chainrule, warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     chainrule.range(1, 3)
    tensor([1., 2., 3.])
    """
    from chainrule.dtypes import get_default_dtype

    warnings.warn("range includes its end, unlike Python's; arange is what remains.", UserWarning, stacklevel=2)
    start, end = (0, start) if end is None else (start, end)
    count = math.floor((end - start) / step) + 1 if step else 0
    # Halfway to the next number, so that no rounding adds one or loses one.
    return arange(
        start,
        start + (count - 0.5) * step if count > 0 else end,
        step,
        dtype=get_default_dtype() if dtype is None else dtype,
        device=device,
        requires_grad=requires_grad,
    )


def set_default_tensor_type(t: Any, /) -> None:
    """The type of new floating-point tensors, by PyTorch's older names; use `set_default_dtype`.

    t: `DoubleTensor` and its like, or that name as a string. A name of tensors on a GPU chooses the GPU too.

    >>> import chainrule
    >>> chainrule.set_default_tensor_type(chainrule.DoubleTensor); chainrule.zeros(1).dtype
    chainrule.float64
    >>> chainrule.set_default_tensor_type("chainrule.FloatTensor"); chainrule.zeros(1).dtype
    chainrule.float32
    """
    from chainrule import devices, dtypes
    from chainrule.functions import typed_constructors

    *place, name = str(t).split(".")
    kind = t if isinstance(t, typed_constructors.TensorType) else getattr(typed_constructors, name, None)
    if isinstance(t, type) and t.__module__ == "chainrule.cuda":
        raise TypeError('write the name of a type on a GPU as a string: "torch.cuda.FloatTensor".')
    if not isinstance(kind, typed_constructors.TensorType):
        raise TypeError(f"{t!r} names no type of tensors: FloatTensor, DoubleTensor, HalfTensor, BFloat16Tensor.")
    if place[-1:] == ["cuda"]:
        devices.set_default_device("cuda")
    dtypes.set_default_dtype(kind.dtype)


def typename(obj: Any, /) -> str:
    """The name of a tensor's type, "chainrule.FloatTensor"; of other things that of their class, with its module.

    >>> import chainrule
    >>> chainrule.typename(chainrule.zeros(1)), chainrule.typename(chainrule.nn.ReLU())
    ('chainrule.FloatTensor', 'chainrule.nn.activations.classic.ReLU')
    """
    if isinstance(obj, TensorCell):
        return str(obj.type())  # type: ignore[attr-defined]
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(named, "__module__", None) or ""
    return named.__qualname__ if module in ("", "builtins") else f"{module}.{named.__qualname__}"


def qr(input: Tensor, some: bool = True) -> linalg.QRResult:
    """`linalg.qr`; with `some=False` a square Q.

    >>> import chainrule
    >>> chainrule.qr(chainrule.eye(2)).R.abs()
    tensor([[1., 0.],
            [0., 1.]])
    """
    return linalg.qr(input, "reduced" if some else "complete")


def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> SVDOfOld:
    """`linalg.svd` that gives V, not Vᵀ; with `compute_uv=False` zeros for U and V.

    >>> import chainrule
    >>> U, S, V = chainrule.svd(chainrule.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]]))
    >>> (U * S @ V.T).round(decimals=3)
    tensor([[1., 2.],
            [0., 1.],
            [1., 0.]])
    """
    if not compute_uv:
        m, n = input.shape[-2:]
        batch = tuple(input.shape[:-2])
        return SVDOfOld(input.new_zeros(*batch, m, m), linalg.svdvals(input), input.new_zeros(*batch, n, n))
    U, S, Vh = linalg.svd(input, full_matrices=not some)
    return SVDOfOld(U, S, Vh.mT)


class TriangularSolution(NamedTuple):
    """The solution, and a copy of the matrix."""

    solution: Any
    cloned_coefficient: Any


def triangular_solve(
    input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolution:
    """X with A·X = input (Aᵀ·X = input with `transpose`) for triangular A; use `linalg.solve_triangular`.

    >>> import chainrule
    >>> chainrule.triangular_solve(chainrule.ones(1, 1), chainrule.tensor([[2.0]])).solution
    tensor([[0.5000]])
    """
    matrix, triangle = (A.mT, not upper) if transpose else (A, upper)
    solution = linalg.solve_triangular(matrix, input, upper=triangle, unitriangular=unitriangular)
    return TriangularSolution(solution, A.clone())


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """`linalg.lu_factor`; with `get_infos` a third result, as `linalg.lu_factor_ex`.

    >>> import chainrule
    >>> LU, pivots = chainrule.lu(chainrule.tensor([[2.0, 4.0], [1.0, 3.0]]))
    >>> LU
    tensor([[2.0000, 4.0000],
            [0.5000, 1.0000]])
    """
    found = factors.lu_factor_ex(A, pivot=pivot)
    return tuple(found) if get_infos else tuple(found[:2])


def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X with A·X = input, from what `lu` gives of A; use `linalg.lu_solve`.

    >>> import chainrule
    >>> chainrule.lu_solve(chainrule.ones(1, 1), *chainrule.lu(chainrule.tensor([[2.0]])))
    tensor([[0.5000]])
    """
    return factors.lu_solve(LU_data, LU_pivots, input)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """`linalg.pinv`; singular values up to `rcond` times the largest count as 0.

    >>> import chainrule
    >>> chainrule.pinverse(chainrule.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return linalg.pinv(input, rcond)


def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False) -> Tensor:
    """X with A·X = input, from A's factor `input2` that `linalg.cholesky` gives: A = L·Lᵀ, or Uᵀ·U if `upper`.

    >>> import chainrule
    >>> chainrule.cholesky_solve(chainrule.tensor([[8.0]]), chainrule.tensor([[2.0]]))
    tensor([[2.]])
    """
    lower = input2.mT if upper else input2
    return linalg.solve_triangular(lower.mT, linalg.solve_triangular(lower, input, upper=False), upper=True)


def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """A⁻¹ from the factor of A that `linalg.cholesky` gives.

    >>> import chainrule
    >>> chainrule.cholesky_inverse(chainrule.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    identity = linalg.eye(input.shape[-1], dtype=input.dtype).expand(tuple(input.shape))
    return cholesky_solve(identity, input, upper)
