"""The less common functions of tensors against PyTorch: joining, searching, statistics, scattering, second names."""

from __future__ import annotations

import numpy as np
import pytest
from peer_comparison import FLOATS, Given, check, entries, lines

pytestmark = pytest.mark.peer

ONE = [
    *[[Given(entries(shape, "float64", "x"))] for shape in [(), (1,), (5,), (3, 4), (4, 6, 2), (2, 0, 3)]],
    *[[Given(entries((3, 4), dtype, "x"))] for dtype in ("float32", "int64", "uint8", "bool")],
    [Given(entries((4, 3), "float64", "t"), "transposed")],
    [Given(np.round(entries((4, 6), "float64", "ties", -1, 1)))],
]
SPECIAL = [
    [Given(np.array([float("nan"), 1.0, float("inf"), -float("inf"), 0.0, -0.0, 2.0]).astype(d), requires_grad=False)]
    for d in ("float32", "float64")
]

OF_ONE = """
lib.atleast_1d(x)
lib.atleast_2d(x)
lib.atleast_3d(x)
lib.atleast_2d(x, x)
lib.column_stack([x, x])
lib.dstack([x, x])
lib.row_stack([x, x])
lib.tensor_split(x, 3)
lib.tensor_split(x, (1, 3))
x.tensor_split(2, dim=-1)
x.tensor_split([2, 1], 0)
x.tensor_split([-1], 0)
lib.hsplit(x, 2)
lib.hsplit(x, [1])
lib.vsplit(x, 2)
lib.vsplit(x, [2])
lib.dsplit(x, 2)
x.split_with_sizes([1, 2])
lib.block_diag(x, x)
lib.block_diag(x[:1], lib.ones(1), x)
lib.rot90(x)
lib.rot90(x, 2)
lib.rot90(x, 3, (0, 1))
lib.rot90(x, -1, [1, 0])
lib.rot90(x, 4)
lib.diagflat(x)
lib.diagflat(x, 1)
x.unfold(0, 2, 1)
x.unfold(-1, 2, 2)
x.unfold(0, 9, 1)
lib.kthvalue(x.detach(), 1)[0]
lib.kthvalue(x.detach(), 2, 0)[0]
x.detach().kthvalue(1, -1, True)[0]
x.detach().kthvalue(9)
lib.mode(x)[0]
lib.mode(x, 0)[0]
x.detach().mode(-1, True)[0]
x.detach().double().nanmedian()
x.detach().double().nanmedian(0)[0]
lib.msort(x)
lib.histc(x.detach().double(), 4)
lib.histc(x.detach().double(), bins=3, min=-1, max=2)
lib.histogram(x.detach().double().flatten(), 4, range=(-2.0, 2.0))
lib.histogram(x.detach().double().flatten(), lib.tensor([-1.0, 0.0, 2.0], dtype=lib.float64), density=True)
lib.histogram(lib.full((5,), 3.0, dtype=lib.float64), 4)
lib.histogram(lib.full((5,), 3.0, dtype=lib.float64))
lib.histogram(lib.zeros(0, dtype=lib.float64), 4)
lib.histogram(lib.ones(5, dtype=lib.float64), 4, range=(2.0, 2.0))
lib.unique_consecutive(x.detach())
lib.unique_consecutive(x.detach(), return_inverse=True, return_counts=True)
lib.unique_consecutive(x.detach(), True, True, 0)
lib.bucketize(x.detach(), lib.tensor([-1.0, 0.0, 2.0]))
lib.bucketize(x.detach(), lib.tensor([-1, 0, 2]), right=True, out_int32=True)
lib.searchsorted(x.detach().sort(-1)[0], x.detach())
lib.searchsorted(x.detach().sort(-1)[0], x.detach(), right=True)
lib.searchsorted(x.detach().sort(-1)[0], x.detach(), side='right')
lib.isin(x + 0, lib.tensor([0.0, 1.0]))
lib.isin(x + 0, 1)
lib.isin(x + 0, lib.tensor([1.0]), invert=True)
lib.cov(x)
lib.cov(x, correction=0)
lib.corrcoef(x)
lib.dist(x.double(), x.double() * 2 + 1)
lib.dist(x.double(), x.double() + 1, 1)
x.double().dist(x.double() * 3, 3)
lib.cdist(x.double(), x.double() + 1)
lib.cdist(x.double(), x.double() + 1, p=1)
lib.cdist(x.double(), x.double() + 1, 3.0)
lib.cdist(x.detach().double(), x.detach().double() + 1, float('inf'))
lib.cdist(x.double(), x.detach().double())
lib.trapezoid(x)
lib.trapezoid(x, dx=0.5, dim=0)
lib.trapezoid(x, x * x)
lib.cumulative_trapezoid(x.double())
lib.cumulative_trapezoid(x.double(), dx=2.0, dim=0)
lib.logcumsumexp(x.double(), 0)
lib.logcumsumexp(x.double(), -1)
lib.renorm(x.double(), 2, 0, 1.0)
lib.renorm(x.double(), 1, -1, 2.0)
lib.kron(x, lib.tensor([[1, 2]]))
lib.kron(x, x)
lib.kron(lib.tensor([1, 2, 3]), x)
lib.clamp_min(x, 0)
lib.clamp_max(x, 1)
x.clamp_min(lib.tensor(0.5))
lib.fmax(x, -x)
lib.fmin(x, lib.tensor(1.0))
lib.copysign(x.double(), -1)
lib.copysign(x.detach().double(), lib.tensor(-0.0, dtype=lib.float64))
lib.heaviside(x.detach().double(), lib.tensor(0.5, dtype=lib.float64))
lib.ldexp(x, lib.tensor(2))
lib.logaddexp2(x.double(), -x.double())
lib.float_power(x * x + 1, 1.5)
lib.sinc(x)
lib.positive(x)
lib.sgn(x.detach().nan_to_num())
lib.fix(x)
lib.isposinf(x)
lib.isneginf(x)
lib.isreal(x)
lib.arctan(x)
lib.arcsinh(x)
lib.arcsin(x * 0.1)
lib.arccos(x * 0.1)
lib.arccosh(x * x + 1.5)
lib.arctanh(x * 0.1)
lib.arctan2(x, x * x + 1)
lib.greater(x, 0)
lib.greater_equal(x, 1)
lib.less(x, 0)
lib.less_equal(x, 1)
lib.not_equal(x, 1)
lib.rsub(x, 1)
lib.real(x)
lib.conj(x)
x.resolve_conj()
x.resolve_neg()
lib.adjoint(x)
x.mH
x.is_complex()
lib.is_complex(x)
lib.is_signed(x)
lib.is_same_size(x, x)
x.is_same_size(x[:0])
lib.is_nonzero(x)
x.ndimension()
x.type(lib.float64)
x.double().sum_to_size(1)
x.sum_to_size(x.size())
x.is_inference()
x.is_cpu
x.is_cuda
x.is_sparse
x.is_quantized
x.get_device()
x.retains_grad
lib.index_fill(x.reshape(-1), 0, lib.tensor([0]), 2)
lib.index_copy(x, 0, lib.tensor([0]), x[:1])
lib.index_put(x, (lib.tensor([0]),), x[:1])
lib.masked_scatter(x, x > 0, x.flatten() * 2)
lib.masked_scatter(x, x > 0, x.flatten()[:1])
lib.select_scatter(x, x[0] * 2, 0, 1)
lib.select_scatter(x, x[..., 0] * 2, -1, -1)
lib.slice_scatter(x, x[:2] * 2, 0, 1, 3)
lib.slice_scatter(x, x[::2] * 2, step=2)
lib.diagonal_scatter(x, x.diagonal() * 2)
lib.diagonal_scatter(x, x.diagonal(1) * 2, 1)
lib.chain_matmul(x, x.mT, x)
lib.matrix_power(x.double() @ x.double().mT, 2)
x.double().clone().clamp_min_(0)
x.detach().clone().greater_(0)
x.double().clone().sinc_()
x.clone().fix_()
x.detach().clone().sgn_()
x.clone().absolute_()
x.clone().masked_scatter_(x > 0, x.flatten() * 2)
x.double().clone().asinh_()
x.double().clone().cumprod_(0)
x.clone().put_(lib.tensor([0]), x.flatten()[:1])
"""


@pytest.mark.parametrize("text", lines(OF_ONE))
def test_of_one(text: str) -> None:
    check(text, ONE)


WITH_NAN_AND_INFINITY = """
lib.fmax(x, lib.ones_like(x))
lib.fmin(x, lib.ones_like(x))
lib.isposinf(x)
lib.isneginf(x)
lib.isreal(x)
lib.sinc(x)
lib.copysign(x.nan_to_num(), lib.tensor(-0.0))
lib.nanmedian(x)
lib.nanmedian(x, 0)
lib.logcumsumexp(x[1:], 0)
lib.logcumsumexp(x[3:], 0)
lib.arctan(x)
lib.unique_consecutive(x)
lib.histc(x[4:])
lib.histc(x)
lib.mode(x[1:])[0]
lib.kthvalue(x, 7)
"""


@pytest.mark.parametrize("text", lines(WITH_NAN_AND_INFINITY))
def test_special_values(text: str) -> None:
    check(text, SPECIAL)


MATRICES = [
    [Given(entries((3, 4), d, "x")), Given(entries((4, 2), d, "y")), Given(entries((3, 2), d, "z"))]
    for d in (*FLOATS[:2], "int64")
]
OF_PRODUCTS = """
lib.addmv(z[:, 0], x, y[:, 0])
lib.addmv(z[:, 0], x, y[:, 0], beta=2, alpha=3)
lib.addmv(z.detach()[:, 0], x, y[:, 0], beta=0)
lib.addr(z, x[:, 0], y[0])
lib.addr(z, x[:, 0], y[0], beta=2, alpha=3)
x.addr(x[:, 0], y[:, 0])
lib.baddbmm(z[None], x[None], y[None])
lib.baddbmm(z, x[None], y[None], beta=2, alpha=3)
lib.addbmm(z, lib.stack([x, x]), lib.stack([y, y]))
lib.addbmm(z.detach(), lib.stack([x, x]), lib.stack([y, y]), beta=0, alpha=2)
lib.ger(x[0], y[:, 0])
lib.vdot(x[0], y[:, 0])
lib.kron(x, y)
lib.block_diag(x, y, z)
lib.cartesian_prod(x[0], y[0], z[0])
lib.cartesian_prod(x[0])
lib.combinations(x[0])
lib.combinations(x[0], 3)
lib.combinations(y[0], 2, with_replacement=True)
lib.combinations(y.detach()[0], 0)
lib.vander(x[0])
lib.vander(x[0], 3)
lib.vander(x[0], 3, increasing=True)
lib.cov(x.double(), fweights=lib.tensor([1, 2, 3, 1]))
lib.cov(x.double(), aweights=lib.tensor([0.5, 1.0, 2.0, 1.0], dtype=lib.float64))
lib.cov(x.double(), fweights=lib.tensor([1, 2, 3, 1]), aweights=lib.tensor([0.5, 1.0, 2.0, 1.0], dtype=lib.float64), correction=0)
lib.searchsorted(y[:, 0].detach().sort()[0], x.detach())
lib.searchsorted(y[:, 0].detach().sort()[0], 0.5)
lib.trapezoid(x.double(), y[:, 0].double())
lib.trapezoid(x, z[:, 0], dim=0)
lib.cumulative_trapezoid(x.double(), y[:, 0].double())
lib.histogram(x.detach().double().flatten(), 3, weight=x.detach().double().flatten() * 2)
"""


@pytest.mark.parametrize("text", lines(OF_PRODUCTS))
def test_of_products(text: str) -> None:
    check(text, MATRICES)


SCATTERED = [
    [
        Given(np.round(entries((4, 3), d, "x")).astype(d)),
        Given(np.array([[0, 2, 2], [3, 2, 0]])),
        Given(np.round(entries((2, 3), d, "s")).astype(d)),
    ]
    for d in ("float64", "float32", "int64")
]
SCATTERING = """
lib.scatter_reduce(x, 0, y, z, 'sum')
lib.scatter_reduce(x, 0, y, z, 'sum', include_self=False)
lib.scatter_reduce(x, 0, y, z, 'mean')
x.scatter_reduce(0, y, z, 'mean', include_self=False)
x.scatter_reduce(0, y, z, 'prod')
x.scatter_reduce(0, y, z, 'prod', include_self=False)
x.scatter_reduce(0, y, z, 'amax')
(x * 10 + 7).scatter_reduce(0, y, z, 'amax', include_self=False)
x.scatter_reduce(0, y, z, 'amin')
(x * 10 + 7).scatter_reduce(0, y, z, 'amin', include_self=False)
x.scatter_reduce(1, y.clamp(max=2), z, 'amax')
x.scatter_reduce(0, y, z, 'most')
x.clone().scatter_reduce_(0, y, z, 'sum')
"""


@pytest.mark.parametrize("text", lines(SCATTERING))
def test_scattering(text: str) -> None:
    check(text, SCATTERED)
