"""Batch normalisation folded into the layer before it: in evaluation both are affine, so together they are one.

BN(W·x + b) = W′·x + b′   with   s = γ/√(σ² + ε),  W′ = s·W (for each output),  b′ = s·(b − μ) + β
"""

from __future__ import annotations

import copy
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.functions.creation import zeros_like
from chainrule.tensor import Parameter, Tensor


def _fold(weight: Tensor, bias: Tensor | None, bn: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, Any]:
    """W′ and b′; `shape` is that of the outputs' factors beside the weight."""
    mean, variance, eps, gamma, beta = bn
    with no_grad():
        scale = (variance + eps).rsqrt()
        scale = scale if gamma is None else scale * gamma
        shift = (zeros_like(mean) if bias is None else bias) - mean
        shift = shift * scale if beta is None else shift * scale + beta
        new = (weight * scale.to(weight.dtype).reshape(shape)).to(weight.dtype)
        wanted = weight.requires_grad, weight.requires_grad if bias is None else bias.requires_grad
        return Parameter(new, wanted[0]), Parameter(shift.to(weight.dtype), wanted[1])


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution with the batch norm behind it folded in.

    conv_w: (C_out, C_in, …), or (C_in, C_out/groups, …) if `transpose`; running mean and variance (C_out,), γ and β
    (C_out,) or None.

    >>> import chainrule
    >>> one = chainrule.ones(1)
    >>> fuse_conv_bn_weights(chainrule.ones(1, 1, 1), None, one, one * 4, 0.0, one * 2, one)
    (Parameter containing:
    tensor([[[1.]]]), Parameter containing:
    tensor([0.]))
    """
    bn = (bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    ones = (1,) * (conv_w.ndim - 2)
    if not transpose:
        return _fold(conv_w, conv_b, bn, (-1, 1, *ones))
    groups = bn_rm.shape[0] // conv_w.shape[1]
    grouped = conv_w.reshape(groups, conv_w.shape[0] // groups, *conv_w.shape[1:])
    weight, bias = _fold(grouped, conv_b, bn, (groups, 1, -1, *ones))
    return Parameter(weight.detach().reshape(conv_w.shape), weight.requires_grad), bias


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a linear layer with the batch norm behind it folded in; arguments as for convolutions.

    >>> import chainrule
    >>> one = chainrule.ones(1)
    >>> fuse_linear_bn_weights(chainrule.ones(1, 1), one, one, one, 0.0, one * 3, one)[1]
    Parameter containing:
    tensor([1.])
    """
    return _fold(linear_w, linear_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), (-1, 1))


def _evaluated(layer: Any, bn: Any) -> Any:
    """A copy of the layer, if both are in evaluation and the batch norm has statistics; else a ValueError."""
    if layer.training or bn.training:
        raise ValueError("batch norm can be folded in evaluation only, where it does not depend on the batch: eval().")
    if bn.running_mean is None:
        raise ValueError("this batch norm keeps no running statistics (track_running_stats=False): nothing to fold.")
    return copy.deepcopy(layer)


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution that does what it and the batch norm behind it do in evaluation.

    Raises ValueError unless both are in evaluation mode.

    >>> import chainrule
    >>> from chainrule import nn
    >>> conv, bn, x = nn.Conv2d(1, 2, 3).eval(), nn.BatchNorm2d(2).eval(), chainrule.randn(1, 1, 4, 4)
    >>> chainrule.allclose(fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    fused = _evaluated(conv, bn)
    statistics = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, transpose)
    fused.weight, fused.bias = weight, bias
    return fused


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of a linear layer that does what it and the batch norm behind it do in evaluation.

    Raises ValueError unless both are in evaluation mode.

    >>> import chainrule
    >>> from chainrule import nn
    >>> linear, bn, x = nn.Linear(3, 2).eval(), nn.BatchNorm1d(2).eval(), chainrule.randn(4, 3)
    >>> chainrule.allclose(fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)), atol=1e-6)
    True
    """
    fused = _evaluated(linear, bn)
    statistics = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    fused.weight, fused.bias = fuse_linear_bn_weights(linear.weight, linear.bias, *statistics)
    return fused
