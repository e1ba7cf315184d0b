"""Muon: momentum for matrices, made orthogonal."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from chainrule.errors import ShapeError
from chainrule.functions.creation import zeros_like
from chainrule.optim.optimizer import Optimizer, check_not_negative, write
from chainrule.tensor import Tensor


class MuonStep(NamedTuple):
    """The new parameter and the mean gradient."""

    parameter: Tensor
    mean: Tensor


def muon(
    parameter: Tensor,
    gradient: Tensor,
    mean: Tensor,
    *,
    lr: float | Tensor,
    weight_decay: float = 0.1,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
    eps: float = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> MuonStep:
    """One step of a matrix θ (A, B) as a pure function.

        m ← μ·m + (1 − μ)·g
        u = m, or with Nesterov's look-ahead (1 − μ)·g + μ·m
        θ ← θ − η·λ·θ − η·s·orthogonalised(u)

    s = √max(1, A/B), or with "match_rms_adamw" 0.2·√max(A, B), which makes steps about as large as AdamW's. Source:
    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    """
    mean = mean * momentum + gradient * (1 - momentum)
    direction = gradient * (1 - momentum) + mean * momentum if nesterov else mean
    direction = orthogonalised(direction, ns_coefficients, ns_steps, eps)
    rows, columns = parameter.shape
    if adjust_lr_fn == "match_rms_adamw":
        size = 0.2 * math.sqrt(max(rows, columns))
    else:
        size = math.sqrt(max(1, rows / columns)) if columns else 1.0
    return MuonStep(parameter * (1 - lr * weight_decay) - direction * (lr * size), mean)


def orthogonalised(
    matrix: Tensor,
    coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
    steps: int = 5,
    eps: float = 1e-7,
) -> Tensor:
    """About U·Vᵀ of a matrix U·S·Vᵀ: the same directions, with all singular values between 0.5 and 1.5, roughly.

        X ← X/‖X‖, then `steps` times X ← a·X + (b·XXᵀ + c·(XXᵀ)²)·X

    Each step maps every singular value s to a·s + b·s³ + c·s⁵ (Newton and Schulz's iteration, with coefficients that
    lift small values fast and let large ones wander about 1). Computed in the matrix's own data type; PyTorch rounds
    to bfloat16 in between, for the sake of hardware that is fast with it.

    >>> import chainrule
    >>> q = orthogonalised(chainrule.tensor([[2.0, 0.0], [0.0, 1.0]]))
    >>> bool((q.diagonal() > 0.5).all() and (q.diagonal() < 1.5).all())
    True
    """
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # the smaller of the two products
    x = x / (x * x).sum().sqrt().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = x * a + (gram * b + gram @ gram * c) @ x
    return x.T if tall else x


class Muon(Optimizer):
    """Muon: every singular direction of a weight matrix gets a step of about the same length. :func:`muon`.

    For the weight matrices of hidden layers only; use AdamW for biases, embeddings and the last layer.

    Args:
        params: matrices, or groups of them with settings of their own.
        lr: the learning rate η.
        weight_decay: λ, decoupled.
        momentum: μ, how long the mean gradient remembers.
        nesterov: look ahead.
        ns_coefficients: a, b and c of the iteration in :func:`orthogonalised`.
        eps: the least norm that a matrix is divided by.
        ns_steps: how many iterations, below 100.
        adjust_lr_fn: how the rate goes with the shape: "original" (also None) or "match_rms_adamw".

    Raises ValueError for settings out of their range, ShapeError for parameters that are no matrices.

    >>> import chainrule
    >>> w = chainrule.eye(2).requires_grad_()
    >>> optimizer = Muon([w], lr=0.1, weight_decay=0.0)
    >>> (w ** 2).sum().backward(); optimizer.step(); bool(w[0, 0] < 0.95 and w[0, 1] == 0)
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_not_negative(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f'adjust_lr_fn is "original", "match_rms_adamw" or None, got {adjust_lr_fn!r}.')
        if len(ns_coefficients) != 3 or not ns_steps < 100:
            raise ValueError(f"ns_coefficients are three and ns_steps below 100, got {ns_coefficients}, {ns_steps}.")
        settings = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, settings)

    def _check_parameters(self, params: list[Any]) -> None:
        super()._check_parameters(params)
        for p in params:
            if p.ndim != 2:
                raise ShapeError(
                    f"Muon is for matrices, got a parameter of shape {tuple(p.shape)}; give the others to AdamW."
                )

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """The mean gradient 0."""
        return {"momentum_buffer": zeros_like(parameter)}

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        names = ("lr", "weight_decay", "momentum", "nesterov", "ns_coefficients", "eps", "ns_steps", "adjust_lr_fn")
        result = muon(parameter, gradient, state["momentum_buffer"], **{name: group[name] for name in names})
        write(parameter, result.parameter, state, {"momentum_buffer": result.mean})
