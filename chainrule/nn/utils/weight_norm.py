"""Weight normalisation: length and direction of a weight as parameters of their own.

    W = g · V/‖V‖        with a norm for each slice along `dim` (or one for all, dim=None)

Source: Salimans and Kingma, "Weight normalization", 2016.
"""

from __future__ import annotations

from typing import Any

from chainrule.nn.module import Module
from chainrule.nn.utils.before_forward import WeightRule, parameter_of, stop_computing
from chainrule.nn.utils.parametrize import register_parametrization
from chainrule.tensor import Parameter, Tensor


def norm_except_dim(v: Tensor, dim: int | None) -> Tensor:
    """The length of each slice of a tensor along `dim`, in a shape that broadcasts against it."""
    if dim is None or dim == -1:
        return (v * v).sum().sqrt()
    others = tuple(axis for axis in range(v.ndim) if axis != dim % v.ndim)
    return (v * v).sum(others, keepdim=True).sqrt() if others else v.abs()


class _WeightNorm(Module):
    """g · V/‖V‖ of the originals g and V."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        """The weight."""
        return v * (g / norm_except_dim(v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The lengths, and the weight itself as the direction."""
        return norm_except_dim(weight, self.dim), weight


def parametrize_by_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Length and direction of a weight as parameters, `original0` and `original1`; the answer is `module`.

    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
    >>> layer.parametrizations.weight.original0.shape, layer.parametrizations.weight.original1.shape
    (Size([40, 1]), Size([40, 20]))
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _NormRule(WeightRule):
    """g · V/‖V‖ of `name_g` and `name_v`."""

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def __call__(self, module: Any, args: Any = ()) -> None:
        """Compute the weight."""
        v, g = getattr(module, f"{self.name}_v"), getattr(module, f"{self.name}_g")
        setattr(module, self.name, v * (g / norm_except_dim(v, self.dim)))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """The older form: parameters `weight_g` and `weight_v`, the weight made anew before each forward.

    `nn.utils.parametrizations.weight_norm` does the same and can be combined with other parametrizations.

    >>> from chainrule import nn
    >>> sorted(name for name, _ in weight_norm(nn.Linear(2, 3)).named_parameters())
    ['bias', 'weight_g', 'weight_v']
    """
    if f"{name}_g" in module._parameters:
        raise ValueError(f"{name!r} of {type(module).__name__} has weight normalisation already.")
    weight = parameter_of(module, name)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight.detach(), dim).detach_copy()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach_copy()))
    rule = _NormRule(name, dim)
    rule(module)
    module.register_forward_pre_hook(rule)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter again, that of g and V as they are now; the answer is `module`.

    Raises ValueError if it has no weight normalisation.

    >>> from chainrule import nn
    >>> sorted(name for name, _ in remove_weight_norm(weight_norm(nn.Linear(2, 3))).named_parameters())
    ['bias', 'weight']
    """
    stop_computing(module, _NormRule, name, "weight normalisation")(module)  # the last forward may be before a step
    value = getattr(module, name).detach_copy()
    for ending in ("", "_g", "_v"):
        delattr(module, name + ending)
    module.register_parameter(name, Parameter(value))
    return module
