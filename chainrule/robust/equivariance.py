"""What moving an image does to a network's answer: equivariance, invariance, and pooling without aliasing.

f is equivariant to a movement T if f(T·x) = T·f(x), invariant if f(T·x) = f(x). A convolution with circular padding is
equivariant to shifts, to rounding; to rotations it is not. Pooling with a stride keeps only every other place, so a
shift by one place changes its answer; blurring before that leaves less to change.
Sources: Zhang, "Making convolutional networks shift-invariant again", 2019; E 7.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.functions.creation import tensor
from chainrule.functions.joining import rot90
from chainrule.functions.pieces import roll
from chainrule.nn import functional as F
from chainrule.tensor import Tensor

Images = Callable[[Tensor], Tensor]


def _relative(found: Tensor, wanted: Tensor, what: str) -> float:
    if tuple(found.shape) != tuple(wanted.shape):
        raise ShapeError(f"{what}: moved images give {tuple(found.shape)}, images {tuple(wanted.shape)}.")
    return float((found - wanted).norm().item()) / max(float(wanted.norm().item()), 1e-30)


def _need_images(x: Tensor, what: str) -> None:
    if x.ndim != 4:
        raise ShapeError(f"{what}: images are (N, C, H, W), got {tuple(x.shape)}.")


def shift_equivariance_error(model: Images, x: Tensor, down: int = 0, right: int = 0, stride: int = 1) -> float:
    """‖f(T·x) − T·f(x)‖/‖f(x)‖ for a shift T around the edges; 0 for an equivariant f.

    x: (N, C, H, W); the model gives such images too. stride: how many places of the input one of the output stands for;
    the shift is a multiple of it. Raises ValueError if it is not.

    >>> import chainrule
    >>> layer = nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")
    >>> shift_equivariance_error(layer, chainrule.rand(1, 1, 8, 8), right=3) < 1e-5
    True
    """
    _need_images(x, "shift_equivariance_error")
    if down % stride or right % stride:
        raise ValueError(f"a shift by ({down}, {right}) is no whole shift of an output with stride {stride}.")
    with no_grad():
        found = model(roll(x, (down, right), (-2, -1)))
        wanted = roll(model(x), (down // stride, right // stride), (-2, -1))
    return _relative(found, wanted, "shift_equivariance_error")


def rotation_equivariance_error(model: Images, x: Tensor, quarters: int = 1) -> float:
    """‖f(R·x) − R·f(x)‖/‖f(x)‖ for R a rotation by quarter turns; x: (N, C, H, W)."""
    _need_images(x, "rotation_equivariance_error")
    with no_grad():
        found, wanted = model(rot90(x, quarters, (-2, -1))), rot90(model(x), quarters, (-2, -1))
    return _relative(found, wanted, "rotation_equivariance_error")


def shift_invariance_error(model: Images, x: Tensor, down: int = 0, right: int = 0) -> float:
    """‖f(T·x) − f(x)‖/‖f(x)‖ for a shift T around the edges; x: (N, C, H, W), the answer of any shape."""
    _need_images(x, "shift_invariance_error")
    with no_grad():
        return _relative(model(roll(x, (down, right), (-2, -1))), model(x), "shift_invariance_error")


class BlurPool2d(nn.Module):
    """Pooling without aliasing: a binomial blur, then every `stride`-th place; the edges are reflected.

    Behind a max-pooling with stride 1 it is an anti-aliased max-pooling. Input (N, C, H, W).

    Args:
        kernel_size: of the blur, 2 or more: 3 is (1, 2, 1)/4.
        stride: 1 or more.

    >>> import chainrule
    >>> BlurPool2d(3, 2)(chainrule.ones(1, 1, 6, 6))
    tensor([[[[1., 1., 1.],
              [1., 1., 1.],
              [1., 1., 1.]]]])
    """

    def __init__(self, kernel_size: int = 3, stride: int = 2, padding_mode: str = "reflect") -> None:
        super().__init__()
        if kernel_size < 2 or stride < 1:
            raise ValueError(f"BlurPool2d: kernel_size from 2 and stride from 1 on, got {kernel_size} and {stride}.")
        row = np.ones(1)
        for _ in range(kernel_size - 1):
            row = np.convolve(row, [0.5, 0.5])
        self.kernel_size, self.stride, self.padding_mode = kernel_size, stride, padding_mode
        self.register_buffer("kernel", tensor(np.outer(row, row), dtype="float32"), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The blurred images at every `stride`-th place."""
        _need_images(x, "BlurPool2d")
        before = (self.kernel_size - 1) // 2
        after = self.kernel_size - 1 - before
        padded = F.pad(x, (before, after, before, after), mode=self.padding_mode)
        channels = int(x.shape[1])
        weight = self.kernel.to(x.dtype).expand(channels, 1, self.kernel_size, self.kernel_size)
        return F.conv2d(padded, weight, stride=self.stride, groups=channels)

    def extra_repr(self) -> str:
        """Its settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"
