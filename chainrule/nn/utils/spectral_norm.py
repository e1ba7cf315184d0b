"""Spectral normalisation: a weight divided by its largest singular value, so that the layer stretches nothing.

    W / σ(W),   σ(W) ≈ uᵀ·W·v  with  v ← Wᵀu/‖Wᵀu‖,  u ← W·v/‖W·v‖   (power iteration)

u and v are buffers, so one iteration for each step of training is enough. The weight is taken as a matrix: its
dimension `dim` against all others. Source: Miyato et al., "Spectral normalization for generative adversarial
networks", 2018.
"""

from __future__ import annotations

from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.functions.logic import where
from chainrule.functions.shape import movedim
from chainrule.nn.convolution.transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from chainrule.nn.module import Module
from chainrule.nn.utils.before_forward import WeightRule, parameter_of, stop_computing
from chainrule.nn.utils.parametrize import register_parametrization
from chainrule.random import randn
from chainrule.tensor import Parameter, Tensor


def _unit(x: Tensor, eps: float) -> Tensor:
    """x divided by its length, or by ε if that is larger."""
    return x / (x * x).sum().sqrt().clamp(min=eps)


def _next(product: Tensor, before: Tensor, eps: float) -> Tensor:
    """The product as a unit vector; where it is 0, as it is for a vector across the singular one, that of before.

    Nothing but 0 would come of a 0, in this iteration and all that follow.
    """
    return where((product != 0).any(), _unit(product, eps), before)


def _as_matrix(weight: Tensor, dim: int) -> Tensor:
    return movedim(weight, dim, 0).flatten(1) if weight.ndim > 1 else weight.reshape(-1, 1)


@no_grad()
def _iterate(matrix: Tensor, u: Tensor, v: Tensor, times: int, eps: float) -> None:
    """Power iterations, in place."""
    for _ in range(times):
        u.copy_(_next(matrix @ v, u, eps))
        v.copy_(_next(matrix.T @ u, v, eps))


def _usual_dim(module: Module, name: str, dim: int | None) -> int:
    """The dimension of the outputs: 1 for transposed convolutions, else 0."""
    turned = isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d))
    return (1 if turned and name == "weight" else 0) if dim is None else dim


class _SpectralNorm(Module):
    """W / σ(W) of the original W."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if n_power_iterations < 1:
            raise ValueError(f"n_power_iterations is at least 1, got {n_power_iterations}.")
        self.dim, self.eps, self.n_power_iterations = dim, eps, n_power_iterations
        self.differs_in_training = False  # the buffers move, the result is the same function
        if weight.ndim > 1:
            matrix = _as_matrix(weight.detach(), dim)
            for name, extent in (("_u", matrix.shape[0]), ("_v", matrix.shape[1])):
                self.register_buffer(name, _unit(randn(extent, dtype=weight.dtype, device=weight.device), eps))
            _iterate(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight; in training u and v move on."""
        if weight.ndim == 1:
            return _unit(weight, self.eps)
        matrix = _as_matrix(weight, self.dim)
        if self.training:
            _iterate(matrix.detach(), self._u, self._v, self.n_power_iterations, self.eps)
        # Copies: a backward pass must see the vectors that were used.
        sigma = self._u.clone() @ (matrix @ self._v.clone())
        return weight / sigma

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: assumed to be normalised already."""
        return value


def parametrize_by_spectrum(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a weight by its largest singular value; the answer is `module`.

    `dim` is the dimension of the outputs, found by itself for the layers here. Raises ValueError for a name that is no
    tensor of the module or fewer than one iteration.

    >>> import chainrule
    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 40))
    >>> for _ in range(200):
    ...     weight = layer.weight
    >>> bool(abs(chainrule.linalg.svdvals(weight)[0] - 1) < 0.1)
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{type(module).__name__} has no tensor {name!r}.")
    constraint = _SpectralNorm(weight, n_power_iterations, _usual_dim(module, name, dim), eps)
    return register_parametrization(module, name, constraint)


class _SpectralRule(WeightRule):
    """W / σ(W) of `name_orig`, with the vectors `name_u` and `name_v`, which move on in training."""

    def __init__(self, name: str, n_power_iterations: int, eps: float, dim: int) -> None:
        super().__init__(name)
        self.n_power_iterations, self.eps, self.dim = n_power_iterations, eps, dim

    def __call__(self, module: Any, args: Any = ()) -> None:
        """Compute the weight; in training after the vectors have moved on."""
        self.compute(module, module.training)

    def compute(self, module: Any, iterate: bool) -> None:
        """Compute the weight, and before it (if `iterate`) the vectors."""
        original, u, v = (getattr(module, self.name + ending) for ending in ("_orig", "_u", "_v"))
        matrix = _as_matrix(original, self.dim)
        if iterate:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(_next(matrix.detach().T @ u, v, self.eps))
                    u.copy_(_next(matrix.detach() @ v, u, self.eps))
        setattr(module, self.name, original / (u.clone() @ (matrix @ v.clone())))


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """The older form: parameter `weight_orig`, buffers `weight_u`, `weight_v`; the weight made before each forward.

    `nn.utils.parametrizations.spectral_norm` does the same and can be combined with other parametrizations.

    >>> from chainrule import nn
    >>> list(spectral_norm(nn.Linear(2, 3)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    if n_power_iterations < 1:
        raise ValueError(f"n_power_iterations is at least 1, got {n_power_iterations}.")
    if f"{name}_orig" in module._parameters:
        raise ValueError(f"{name!r} of {type(module).__name__} has spectral normalisation already.")
    dim = _usual_dim(module, name, dim)
    weight = parameter_of(module, name)
    delattr(module, name)
    matrix = _as_matrix(weight.detach(), dim)
    module.register_parameter(f"{name}_orig", Parameter(weight.detach_copy()))
    for ending, extent in (("_u", matrix.shape[0]), ("_v", matrix.shape[1])):
        module.register_buffer(name + ending, _unit(randn(extent, dtype=weight.dtype, device=weight.device), eps))
    setattr(module, name, weight.detach())
    module.register_forward_pre_hook(_SpectralRule(name, n_power_iterations, eps, dim))
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter again, normalised as it is now; the answer is `module`.

    Raises ValueError if it has no spectral normalisation.

    >>> from chainrule import nn
    >>> list(remove_spectral_norm(spectral_norm(nn.Linear(2, 3))).state_dict())
    ['bias', 'weight']
    """
    stop_computing(module, _SpectralRule, name, "spectral normalisation").compute(module, iterate=False)
    value = getattr(module, name).detach_copy()
    for ending in ("", "_orig", "_u", "_v"):
        delattr(module, name + ending)
    module.register_parameter(name, Parameter(value))
    return module
