"""Orthogonal weights: a parametrization of all matrices with orthonormal columns (or rows, if there are fewer).

An unconstrained matrix X becomes an orthogonal one by one of three maps. The first two go through the skew-symmetric
matrix A = L − Lᵀ of the lower triangle L of X:

    matrix_exp     Q = eᴬ
    cayley         Q = (I − A/2)⁻¹ (I + A/2)
    householder    Q = H₁H₂…H_k, reflections with the columns of L below the diagonal as their vectors

With `use_trivialization` the result is B·Q with a fixed orthogonal B, the weight at the start: so X begins near 0,
where the maps are gentle. Sources: Lezcano-Casado and Martínez-Rubio, "Cheap orthogonal constraints in neural
networks", 2019; Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds", 2019.
"""

from __future__ import annotations

from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.functions.creation import eye
from chainrule.functions.linalg import matrix_exp, qr, solve
from chainrule.functions.pieces import cat
from chainrule.nn.module import Module
from chainrule.nn.utils.parametrize import is_parametrized, register_parametrization
from chainrule.random import randn
from chainrule.tensor import Tensor

MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """An orthogonal matrix from an unconstrained one; see the text of the file."""

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        self.shape = tuple(weight.shape)
        self.orthogonal_map, self.use_trivialization = orthogonal_map, use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """Q, or base·Q, with the shape of X."""
        wide = X.shape[-2] < X.shape[-1]
        tall = X.mT if wide else X
        Q = householder(tall) if self.orthogonal_map == "householder" else self._exponential(tall)
        if self.use_trivialization:
            Q = self.base @ Q
        return Q.mT if wide else Q

    def _exponential(self, X: Tensor) -> Tensor:
        n, k = X.shape[-2], X.shape[-1]
        L = X.tril()
        if n != k:
            L = cat([L, L.new_zeros((*X.shape[:-1], n - k))], -1)
        A = L - L.mT
        if self.orthogonal_map == "matrix_exp":
            Q = matrix_exp(A)
        else:
            identity = eye(n, dtype=A.dtype, device=A.device).expand(A.shape)
            Q = solve(identity - A / 2, identity + A / 2)
        return Q[..., :k]

    @no_grad()
    def right_inverse(self, value: Tensor) -> Tensor:
        """An original that gives `value` (made orthogonal if it is not), with a new base if there is one."""
        if tuple(value.shape) != self.shape:
            raise ShapeError(f"expected the shape {self.shape}, got {tuple(value.shape)}.")
        wide = value.shape[-2] < value.shape[-1]
        tall = value.mT if wide else value
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    f"a weight cannot be assigned through {self.orthogonal_map} without a base; "
                    "use_trivialization=True has one."
                )
            X = reflections(tall)
            return X.mT if wide else X
        n, k = tall.shape[-2], tall.shape[-1]
        if n != k:
            tall = cat([tall, randn(*tall.shape[:-2], n, n - k, dtype=tall.dtype, device=tall.device)], -1)
        self.base = _nearest_orthonormal(tall)
        # −I: each map makes I of it. (The diagonal is the householder map's signs.)
        return -eye(value.shape[-2], value.shape[-1], dtype=value.dtype, device=value.device).expand(value.shape)


def householder(X: Tensor) -> Tensor:
    """The first k columns of H₁H₂…H_k, each times the sign on the diagonal of X (…, n, k).

    Hᵢ = I − 2vᵢvᵢᵀ/‖vᵢ‖² with vᵢ: zeros, a one, then column i of X below its diagonal. All of them together are
    I − V·S⁻¹·Vᵀ with S = upper triangle of VᵀV, its diagonal halved.

    >>> import chainrule
    >>> Q = householder(chainrule.tensor([[1.0, 0.0], [2.0, 1.0], [3.0, 4.0]]))
    >>> chainrule.allclose(Q.T @ Q, chainrule.eye(2), atol=1e-6)
    True
    """
    n, k = X.shape[-2], X.shape[-1]
    identity = eye(n, k, dtype=X.dtype, device=X.device).expand(X.shape)
    V = X.tril(-1) + identity
    products = V.mT @ V
    S = products.triu(1) + products * (eye(k, dtype=X.dtype, device=X.device) / 2)
    Q = identity - V @ solve(S, V[..., :k, :].mT)
    # The signs are no numbers to be learned.
    return Q * X.detach().diagonal(0, -2, -1).trunc().unsqueeze(-2)


def reflections(Q: Tensor) -> Tensor:
    """The matrix X with `householder(X)` = Q, for orthonormal columns Q (…, n, k); else for the nearest such.

    Column by column: the reflection that turns what is left of column i into ±eᵢ is the next one.
    """
    rest, X = _nearest_orthonormal(Q), Q * 0
    for i in range(Q.shape[-1]):
        column = rest[..., i:, i]
        sign = -(column[..., :1] >= 0).to(Q.dtype) * 2 + 1  # away from the column, so that nothing cancels
        v = column.clone()
        v[..., :1] = v[..., :1] - sign
        v = v / v[..., :1]
        length = (v * v).sum(-1, keepdim=True).unsqueeze(-1)
        below = rest[..., i:, :]
        rest[..., i:, :] = below - v.unsqueeze(-1) @ (v.unsqueeze(-2) @ below) * 2 / length
        X[..., i + 1 :, i] = v[..., 1:]
        X[..., i, i] = sign[..., 0]
    return X


def _nearest_orthonormal(A: Tensor) -> Tensor:
    """Orthonormal columns that span what the columns of A span; A itself if they are orthonormal already."""
    Q, R = qr(A)
    return Q * R.diagonal(0, -2, -1).sign().unsqueeze(-2)


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep a weight orthogonal (its columns, or its rows if there are fewer) while it is trained.

    The maps are described at the top of `nn/utils/orthogonal.py`; without a choice "matrix_exp" for square weights,
    "householder" for others. The weight begins as the orthogonal matrix nearest to what it was. The answer is `module`.
    Raises ValueError for another map, a name that is no tensor, a weight of fewer than two dimensions, or one that is
    parametrized already: then nothing says which original gives that matrix.

    >>> import chainrule
    >>> from chainrule import nn
    >>> layer = orthogonal(nn.Linear(20, 40))
    >>> W = layer.weight
    >>> chainrule.allclose(W.T @ W, chainrule.eye(20), atol=1e-5)
    True
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{type(module).__name__} has no tensor {name!r}.")
    if weight.ndim < 2:
        raise ValueError(f"an orthogonal tensor has two dimensions or more, {name!r} has shape {tuple(weight.shape)}.")
    if is_parametrized(module, name):
        raise ValueError(f"{name!r} is parametrized already; make it orthogonal first, and then the other.")
    square = weight.shape[-2] == weight.shape[-1]
    chosen = orthogonal_map or ("matrix_exp" if square else "householder")
    if chosen not in MAPS:
        raise ValueError(f"orthogonal_map is one of {', '.join(MAPS)}, got {orthogonal_map!r}.")
    return register_parametrization(
        module, name, _Orthogonal(weight, chosen, use_trivialization=use_trivialization), unsafe=True
    )
