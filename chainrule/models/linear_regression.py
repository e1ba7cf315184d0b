"""Linear regression without iterations, or with very few: least squares, ridge, lasso and the elastic net.

Each gives a fitted `nn.Linear`, so predictions are `model(X)` and training can go on from there. The bias is found
together with the weights and never penalised: inputs and targets are centred first.

N samples, D inputs, M targets; X: (N, D), Y: (N, M), or (N,) for one target. The result has the weight (M, D) in the
data type of X; it is computed in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.functions import linalg
from chainrule.functions.creation import eye, zeros_like
from chainrule.nn.linear import Linear
from chainrule.tensor import Tensor


def least_squares(X: Tensor, Y: Tensor, bias: bool = True) -> Linear:
    """The weights that make ‖XW + b − Y‖² smallest: W = X⁺·Y, which is (XᵀX)⁻¹XᵀY where that exists.

    The pseudo-inverse comes from the singular values, so inputs that depend on each other do no harm: of all solutions
    it is the smallest. (The formula with XᵀX squares the condition number, and fails there.)

    >>> import chainrule
    >>> model = least_squares(chainrule.tensor([[0.0], [1.0], [2.0]]), chainrule.tensor([1.0, 3.0, 5.0]))
    >>> model.weight.item(), model.bias.item()
    (2.0000, 1.0000)
    """
    return _fit(X, Y, bias, lambda X, Y: linalg.pinv(X) @ Y)


def ridge(X: Tensor, Y: Tensor, strength: float, bias: bool = True) -> Linear:
    """The weights that make ‖XW + b − Y‖² + λ‖W‖² smallest: W = (XᵀX + λI)⁻¹XᵀY, with λ = `strength` above 0.

    The L2 penalty in closed form. It shrinks the direction of each singular vector by s²/(s² + λ), the uncertain ones
    most. Raises ValueError unless λ > 0. Source: Hoerl and Kennard, "Ridge regression", 1970.

    >>> import chainrule
    >>> ridge(chainrule.tensor([[-1.0], [1.0]]), chainrule.tensor([-2.0, 2.0]), strength=2.0).weight
    Parameter containing:
    tensor([[1.]], requires_grad=True)
    """
    if not strength > 0:
        raise ValueError(f"ridge needs a strength above 0, got {strength}; without one see least_squares.")

    def solve(X: Tensor, Y: Tensor) -> Tensor:
        return linalg.solve(X.T @ X + eye(X.shape[1], dtype=X.dtype, device=X.device) * strength, X.T @ Y)

    return _fit(X, Y, bias, solve)


def lasso(
    X: Tensor,
    Y: Tensor,
    strength: float,
    bias: bool = True,
    method: str = "coordinate",
    max_iter: int = 1000,
    tol: float = 1e-6,
) -> Linear:
    """The weights that make ‖XW + b − Y‖²/2N + λ·Σ|w| smallest: many of them are exactly zero.

    The L1 penalty, by the elastic net with l1_ratio = 1; arguments as there. Source: Tibshirani, "Regression shrinkage
    and selection via the lasso", 1996.

    >>> import chainrule
    >>> X = chainrule.tensor([[-1.0, 0.1], [1.0, 0.1], [-1.0, -0.1], [1.0, -0.1]])
    >>> lasso(X, chainrule.tensor([-2.0, 2.1, -2.1, 2.0]), strength=0.5).weight
    Parameter containing:
    tensor([[1.5500, -0.0000]], requires_grad=True)
    """
    return elastic_net(X, Y, strength, 1.0, bias, method, max_iter, tol)


def elastic_net(
    X: Tensor,
    Y: Tensor,
    strength: float,
    l1_ratio: float = 0.5,
    bias: bool = True,
    method: str = "coordinate",
    max_iter: int = 1000,
    tol: float = 1e-6,
) -> Linear:
    """The weights that make ‖XW + b − Y‖²/2N + λ·(ρ·Σ|w| + ½(1 − ρ)·Σw²) smallest; λ = `strength`, ρ = `l1_ratio`.

    Both methods rest on the soft threshold S(z, t) = sign(z)·max(|z| − t, 0), which solves the problem of one weight:

        "coordinate"   one weight after the other, w_j ← S(c_j − Σ_{k≠j} G_jk·w_k, λρ)/(G_jj + λ(1 − ρ)),
                       with G = XᵀX/N and c = XᵀY/N
        "proximal"     all at once, W ← S(V − η·∇(V), ηλρ) at a point V beyond the last step (FISTA),
                       η = 1/(largest eigenvalue of G + λ(1 − ρ))

    Both stop when the condition of a minimum, W = S(W − ∇, λρ), holds to within `tol` times the largest |c|, or warn
    after `max_iter` rounds.
    Raises ValueError for settings out of their range.

    Sources: Zou and Hastie 2005; Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models
    via coordinate descent", 2010; Beck and Teboulle, "A fast iterative shrinkage-thresholding algorithm", 2009.

    >>> import chainrule
    >>> X = chainrule.tensor([[-1.0], [1.0]])
    >>> elastic_net(X, chainrule.tensor([-2.0, 2.0]), strength=1.0, l1_ratio=0.5).weight
    Parameter containing:
    tensor([[1.]], requires_grad=True)
    """
    methods = {"coordinate": _coordinate_descent, "proximal": _proximal_gradient}
    if method not in methods:
        raise ValueError(f"method is {' or '.join(map(repr, methods))}, got {method!r}.")
    if not strength >= 0 or not 0 <= l1_ratio <= 1:
        raise ValueError(f"the strength is not negative and l1_ratio in [0, 1], got {strength} and {l1_ratio}.")
    threshold, pull = strength * l1_ratio, strength * (1 - l1_ratio)

    def solve(X: Tensor, Y: Tensor) -> Tensor:
        G, c = X.T @ X / len(X), X.T @ Y / len(X)
        allowed = c.abs().max().item() * tol
        W = zeros_like(c)
        for _, W in zip(range(max_iter), methods[method](G, c, threshold, pull)):
            moved = soft_threshold(W - (G @ W - c + W * pull), threshold)
            if (moved - W).abs().max().item() <= allowed:
                return W
        warnings.warn(
            f"{max_iter} rounds were not enough for an error below {tol}; allow more (max_iter) or a larger tol.",
            stacklevel=5,
        )
        return W

    return _fit(X, Y, bias, solve)


def soft_threshold(x: Tensor, threshold: float) -> Tensor:
    """S(x, t) = sign(x)·max(|x| − t, 0): the w that makes ½(w − x)² + t·|w| smallest.

    >>> import chainrule
    >>> soft_threshold(chainrule.tensor([-3.0, 0.5, 2.0]), 1.0)
    tensor([-2.,  0.,  1.])
    """
    return x - x.clamp(-threshold, threshold)


def _coordinate_descent(G: Tensor, c: Tensor, threshold: float, pull: float) -> Iterator[Tensor]:
    """The weights after each round over all coordinates. All targets are done at once: their problems are separate."""
    rows, diagonal = list(G.unbind(0)), G.diagonal().tolist()
    W = zeros_like(c)
    while True:
        for j, (row, own) in enumerate(zip(rows, diagonal, strict=True)):
            if own + pull > 0:  # an input that never changes is left out
                W[j] = soft_threshold(c[j] - row @ W + W[j] * own, threshold) / (own + pull)
        yield W.clone()


def _proximal_gradient(G: Tensor, c: Tensor, threshold: float, pull: float) -> Iterator[Tensor]:
    """The weights after each step of FISTA."""
    steepest = linalg.eigvalsh(G)[-1].item() + pull
    rate = 1 / steepest if steepest > 0 else 0.0
    W = V = zeros_like(c)
    t = 1.0
    while True:
        before, t_before = W, t
        W = soft_threshold(V - (G @ V - c + V * pull) * rate, threshold * rate)
        t = (1 + (1 + 4 * t * t) ** 0.5) / 2
        V = W + (W - before) * ((t_before - 1) / t)
        yield W


@no_grad()
def _fit(X: Tensor, Y: Tensor, bias: bool, solve: Callable[[Tensor, Tensor], Tensor]) -> Linear:
    """A linear layer of what `solve` finds for centred inputs and targets, (N, D) and (N, M) to (D, M)."""
    if X.ndim != 2 or Y.ndim not in (1, 2) or len(X) != len(Y) or not len(X):
        raise ShapeError(f"X is (N, D) and Y (N, M) or (N,), N at least 1; got {tuple(X.shape)} and {tuple(Y.shape)}.")
    layer = Linear(X.shape[1], 1 if Y.ndim == 1 else Y.shape[1], bias, dtype=X.dtype)
    X, Y = X.double(), (Y.unsqueeze(1) if Y.ndim == 1 else Y).double()
    if not bias:
        layer.weight.copy_(solve(X, Y).T)
        return layer
    centre, level = X.mean(0), Y.mean(0)
    W = solve(X - centre, Y - level)
    layer.weight.copy_(W.T)
    layer.bias.copy_(level - centre @ W)
    return layer
