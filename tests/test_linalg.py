"""Linear algebra: what decompositions promise, and PyTorch's values and gradients."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import linalg
from chainrule.errors import NumberRangeError

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(0, 5)


def matrix(seed: int, *shape: int) -> Any:
    return chainrule.tensor(np.random.default_rng(seed).standard_normal(shape))


def near(x: Any, y: Any) -> bool:
    return chainrule.allclose(x, y, rtol=1e-8, atol=1e-8)


@given(seeds, sizes, sizes)
def test_decompositions_put_together_again(seed: int, m: int, n: int) -> None:
    A = matrix(seed, 2, m, n).mT.contiguous().mT
    Q, R = linalg.qr(A)
    assert near(Q @ R, A) and near(Q.mT @ Q, chainrule.eye(min(m, n), dtype=A.dtype).expand(2, -1, -1))
    assert near(R, R.triu())
    U, S, Vh = linalg.svd(A, full_matrices=False)
    assert near(U * S.unsqueeze(-2) @ Vh, A) and bool((S[..., :-1] >= S[..., 1:]).all())
    symmetric = A @ A.mT
    w, V = linalg.eigh(symmetric)
    assert near(V * w.unsqueeze(-2) @ V.mT, symmetric)
    L = linalg.cholesky(symmetric + chainrule.eye(m, dtype=A.dtype))
    assert near(L @ L.mT, symmetric + chainrule.eye(m, dtype=A.dtype)) and near(L, L.tril())
    P = linalg.pinv(A)
    assert near(A @ P @ A, A) and near((A @ P).mT, A @ P)


@given(seeds, sizes)
def test_solving(seed: int, n: int) -> None:
    A, B = matrix(seed, n, n) + 6 * chainrule.eye(n, dtype="float64"), matrix(seed + 1, n, 3)
    assert near(A @ linalg.solve(A, B), B) and near(linalg.solve(A, B.mT[:, :n], left=False) @ A, B.mT[:, :n])
    assert near(linalg.inv(A) @ A, chainrule.eye(n, dtype="float64"))
    sign, logarithm = linalg.slogdet(A)
    assert near(sign * logarithm.exp(), linalg.det(A))
    assert near(linalg.matrix_power(A, -2) @ A @ A, chainrule.eye(n, dtype="float64"))


CALLS = [
    "L.solve(A, B)", "L.solve(A, B[..., 0])", "L.inv(A)", "L.det(A)", "L.slogdet(A)[1]", "L.cholesky(A @ A.mT)",
    "L.cholesky(A @ A.mT, upper=True)", "L.qr(A)[1].abs()", "L.qr(T)[1].abs()", "L.qr(T.mT)[1].abs()", "L.svdvals(T)",
    "L.eigvalsh(A + A.mT)", "L.pinv(T)", "L.matrix_norm(T)", "L.matrix_norm(T, 'nuc')", "L.matrix_norm(T, 2)",
    "L.matrix_norm(T, -2)", "L.matrix_norm(T, 1)", "L.matrix_norm(T, -1)", "L.matrix_norm(T, float('inf'))",
    "L.matrix_norm(T, float('-inf'), keepdim=True)", "L.vector_norm(T)", "L.vector_norm(T, 1, dim=-1)",
    "L.vector_norm(T, 3, dim=-2, keepdim=True)", "L.vector_norm(T, float('inf'))", "L.norm(T)", "L.norm(T[0], 2)",
    "L.cond(A)", "L.matrix_exp(A)", "L.matrix_exp(A * 0)", "L.matrix_exp(A * 7 - A.mT * 7)", "L.matrix_exp(A * 1e-9)", "L.matrix_power(A, 3)", "L.matrix_power(A, -1)", "L.multi_dot([T[0], A[0], A[1]])",
    "L.solve_triangular(A, B, upper=True)", "L.solve_triangular(A, B, upper=False, unitriangular=True)",
    "L.lstsq(T, T[..., :1]).solution", "L.cross(A, A.mT)", "L.diagonal(A, offset=1)", "L.matrix_rank(T)",
    "L.lu(A)[0]", "L.lu(A)[1]", "L.lu(A)[2]", "L.lu(T)[1]", "L.lu(T)[2]", "L.lu(T.mT)[1]", "L.lu(T.mT)[2]", "L.lu(T[0] * 1)[2]",
    "L.lu_factor(A)[0]", "L.lu_factor(A)[1]", "L.lu_factor(T.mT)[0]", "L.lu_factor(T.mT)[1]", "L.lu_factor(T)[0]",
    "L.lu_factor_ex(A * 0).info", "L.lu_solve(*L.lu_factor(A), B)", "L.lu_solve(*L.lu_factor(A), B.mT, left=False)",
    "L.lu_solve(*L.lu_factor(A), B, adjoint=True)", "L.lu_solve(*L.lu_factor(A), B.mT, left=False, adjoint=True)",
    "lib.lu(A)[0]", "A.lu()[1]", "lib.lu(A * 0, get_infos=True)[2]", "lib.lu_solve(B, *A.lu())", "B.lu_solve(*lib.lu(A))",
    "lib.lu_unpack(*L.lu_factor(T))[0]", "lib.lu_unpack(*L.lu_factor(T))[1]", "lib.lu_unpack(*L.lu_factor(T.mT), unpack_pivots=False)[0]",
    "lib.lu_unpack(*L.lu_factor(T), unpack_data=False)[0]", "lib.triangular_solve(B, A).solution", "A.triangular_solve(A)[1]",
    "lib.triangular_solve(B, A, upper=False, transpose=True, unitriangular=True)[0]", "B.triangular_solve(A, transpose=True)[0]",
    "L.cholesky_ex(A @ A.mT)[0]", "L.cholesky_ex(A @ A.mT, upper=True).L", "L.cholesky_ex(A @ A.mT).info",
    "L.cholesky_ex(A @ A.mT - lib.tensor([0.0, 50.0, 0.0], dtype=A.dtype).diag()).info", "L.inv_ex(A).inverse", "L.inv_ex(A).info",
    "L.inv_ex(A * lib.tensor([1.0, 0.0, 1.0], dtype=A.dtype)).info", "L.solve_ex(A, B).result", "L.solve_ex(A, B[..., 0]).result",
    "L.solve_ex(A * 0, B).info", "L.vecdot(A, A.mT)", "L.vecdot(T, T[..., :1], dim=-2)", "L.vander(T[0, 0])", "L.vander(A, N=5)",
    "L.tensorinv(A[0].reshape(3, 3, 1), ind=1)", "L.tensorsolve(A[0].reshape(3, 1, 3), B[0, :, :1])",
    "L.tensorsolve(A[0].reshape(3, 3, 1), B[0, :, :1], dims=(0,))", "L.matmul(A, B)", "L.eigh(A + A.mT)[1][..., :1].abs()", "L.svd(T, full_matrices=False)[0][..., :1].abs()",
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("call", CALLS)
def test_values_and_gradients_are_pytorch_s(call: str) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(1)
    arrays = {
        "A": random.standard_normal((2, 3, 3)) + 3 * np.eye(3),
        "B": random.standard_normal((2, 3, 2)),
        "T": random.standard_normal((2, 5, 3)),
    }
    results = []
    for framework in (chainrule, torch):
        tensors = {name: framework.tensor(array, requires_grad=True) for name, array in arrays.items()}
        with warnings.catch_warnings(action="ignore"):  # PyTorch's older names say so
            answer = eval(call, {"L": framework.linalg, "lib": framework, **tensors})
        found = [answer.detach().numpy()]
        if answer.requires_grad:
            (
                answer * framework.tensor(random.__class__(np.random.PCG64(2)).random(tuple(answer.shape)))
            ).sum().backward()
            found += [np.zeros(0) if t.grad is None else t.grad.numpy() for t in tensors.values()]
        results.append(found)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


@given(seeds, sizes, sizes, st.booleans())
def test_lu_puts_together_again(seed: int, m: int, n: int, pivot: bool) -> None:
    A = matrix(seed, 2, m, n)
    P, L, U = linalg.lu(A, pivot=pivot)
    assert chainrule.allclose(P @ L @ U, A, rtol=1e-6, atol=1e-6) and near(U, U.triu()) and near(L, L.tril())
    assert near(L.diagonal(0, -2, -1), chainrule.ones(2, min(m, n), dtype=A.dtype))
    assert near(P.mT @ P, chainrule.eye(m, dtype=A.dtype).expand(2, -1, -1))
    assert bool((L.abs() <= 1).all()) if pivot else near(P, chainrule.eye(m, dtype=A.dtype).expand(2, -1, -1))


def test_gradients_of_lu_are_finite_differences() -> None:
    for shape in ((3, 3), (2, 4, 2), (2, 4)):
        A = (matrix(5, *shape) + 2 * chainrule.eye(*shape[-2:], dtype="float64")).requires_grad_()
        for number in (1, 2):
            assert chainrule.autograd.gradcheck(lambda x, number=number: linalg.lu(x)[number], A)
            assert chainrule.autograd.gradgradcheck(lambda x, number=number: linalg.lu(x)[number], A)


def test_lu_in_a_compiled_step() -> None:
    def step(A: chainrule.Tensor, B: chainrule.Tensor) -> tuple[chainrule.Tensor, ...]:
        factors, pivots = linalg.lu_factor(A)
        return linalg.lu_solve(factors, pivots, B), linalg.cholesky_ex(A @ A.mT).info, linalg.inv_ex(A).info

    compiled = chainrule.compile(step)
    for seed in range(3):
        A, B = matrix(seed, 4, 4), matrix(seed + 9, 4, 2)
        x, of_cholesky, of_inverse = compiled(A, B)
        assert near(A @ x, B) and of_cholesky.item() == of_inverse.item() == 0
    with pytest.raises(linalg.LinAlgError, match="lu_factor: the matrix is singular, place 2"):
        compiled(chainrule.ones(4, 4, dtype="float64"), B)


def test_where_it_went_wrong_is_told_and_the_rest_is_right() -> None:
    good = chainrule.tensor([[4.0, 2.0], [2.0, 5.0]])
    A = chainrule.stack([good, -good, chainrule.tensor([[1.0, 2.0], [2.0, 1.0]])]).requires_grad_()
    L, info = linalg.cholesky_ex(A)
    assert info.tolist() == [0, 1, 2] and chainrule.equal(L[0], linalg.cholesky(good)) and bool(L[1:].isnan().all())
    L[0].sum().backward()
    assert A.grad is not None and bool(A.grad[0].isfinite().all()) and not A.grad[1:].any()
    singular = chainrule.stack([good, chainrule.ones(2, 2), chainrule.zeros(2, 2)])
    inverse, info = linalg.inv_ex(singular)
    assert (
        info.tolist() == [0, 2, 1] and chainrule.equal(inverse[0], linalg.inv(good)) and bool(inverse[1:].isnan().all())
    )
    result, info = linalg.solve_ex(singular, chainrule.ones(3, 2))
    assert info.tolist() == [0, 2, 1] and near(good @ result[0], chainrule.ones(2)) and bool(result[1:].isnan().all())
    for call, said in (
        (lambda: linalg.cholesky_ex(A, check_errors=True), r"not positive definite \(matrix \[1\]"),
        (lambda: linalg.inv_ex(singular, check_errors=True), "singular"),
        (lambda: linalg.lu_factor(singular), r"singular \(matrix \[1\] of the batch\), place 2"),
    ):
        with pytest.raises(linalg.LinAlgError, match=said):
            call()


def test_misuse_is_explained() -> None:
    with pytest.raises(chainrule.ShapeError, match=r"LU \(3, 3\) and pivots \(2,\)"):
        chainrule.lu_unpack(chainrule.eye(3), chainrule.tensor([1, 2]))
    with pytest.raises(NumberRangeError, match="from 1 to 2, got 0 to 3"):
        chainrule.lu_unpack(chainrule.eye(2), chainrule.tensor([0, 3]))
    for wrong in (lambda: linalg.vander(chainrule.tensor(1.0)), lambda: linalg.vander(chainrule.ones(2), N=0)):
        with pytest.raises(chainrule.ShapeError, match="a vector or more and N of 1 or more"):
            wrong()
    assert linalg.vander(chainrule.ones(0)).shape == (0, 0)
    with pytest.raises(chainrule.ShapeError, match="different numbers of entries"):
        linalg.tensorinv(chainrule.ones(2, 3, 4))
    with pytest.raises(chainrule.ShapeError, match="no square map"):
        linalg.tensorsolve(chainrule.ones(2, 3, 4), chainrule.ones(2, 3))
    with pytest.raises(chainrule.ShapeError, match=r"square.*\(2, 3\)"):
        linalg.inv(chainrule.ones(2, 3))
    with pytest.raises(chainrule.DTypeError, match="float16.*float"):
        linalg.det(chainrule.ones(2, 2, dtype="float16"))
    with pytest.raises(chainrule.ShapeError, match="3 entries"):
        linalg.cross(chainrule.ones(2), chainrule.ones(2))
