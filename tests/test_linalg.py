"""Linear algebra: what decompositions promise, and PyTorch's values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import linalg

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
    "L.eigh(A + A.mT)[1][..., :1].abs()", "L.svd(T, full_matrices=False)[0][..., :1].abs()",
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
        answer = eval(call, {"L": framework.linalg, **tensors})
        found = [answer.detach().numpy()]
        if answer.requires_grad:
            (
                answer * framework.tensor(random.__class__(np.random.PCG64(2)).random(tuple(answer.shape)))
            ).sum().backward()
            found += [np.zeros(0) if t.grad is None else t.grad.numpy() for t in tensors.values()]
        results.append(found)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_misuse_is_explained() -> None:
    with pytest.raises(chainrule.ShapeError, match=r"square.*\(2, 3\)"):
        linalg.inv(chainrule.ones(2, 3))
    with pytest.raises(chainrule.DTypeError, match="float16.*float"):
        linalg.det(chainrule.ones(2, 2, dtype="float16"))
    with pytest.raises(chainrule.ShapeError, match="3 entries"):
        linalg.cross(chainrule.ones(2), chainrule.ones(2))
