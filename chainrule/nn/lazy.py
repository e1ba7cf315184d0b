"""Lazy layers: the number of input features or channels is read off the first input.

    model = nn.Sequential(nn.LazyConv2d(16, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    model(images)     # now these are Conv2d(1, 16, …) and Linear(10816, 10)

After the first call a lazy layer is the ordinary one, class included. Its parameters are there before, as
`UninitializedParameter`s, so an optimiser may be made first; a `state_dict` gives them their shape too.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.changes import note_change
from chainrule.errors import ShapeError
from chainrule.functions.promotion import need_tensor
from chainrule.nn.convolution.layers import Conv1d, Conv2d, Conv3d
from chainrule.nn.convolution.transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.normalisation.layers import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from chainrule.nn.uninitialized import UninitializedBuffer, UninitializedParameter, is_uninitialized
from chainrule.primitives.trace import outside_of_trace
from chainrule.tensor import Tensor


class LazyModule(Module):
    """What lazy layers share; a layer adds the size it reads and the shapes that follow from it.

    Attributes:
        ordinary: the class that it becomes.
    """

    ordinary: ClassVar[type[Module]]

    def _make_lazy(self, device: Any, dtype: Any) -> None:
        """Replace the parameters, and the buffers with a size, by uninitialised ones."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = UninitializedParameter(device=device, dtype=dtype)
        for name, buffer in self._buffers.items():
            if buffer is not None and buffer.ndim:
                self._buffers[name] = UninitializedBuffer(device=device, dtype=dtype)

    def has_uninitialized_params(self) -> bool:
        """Whether some shape is not known yet."""
        return any(is_uninitialized(entry) for entry in (*self._parameters.values(), *self._buffers.values()))

    def shapes(self, input: Tensor) -> dict[str, tuple[int, ...]]:
        """Read the size off an input, and say which shape each parameter and buffer gets."""
        raise TypeError(f"{type(self).__name__} does not define shapes(input).")

    def initialize_parameters(self, input: Tensor) -> None:
        """Give all parameters their shapes and their initial values; what was loaded keeps its values.

        In a compiled step this happens before it: only once, and the program finds parameters like any others.
        """
        fresh = self.has_uninitialized_params()
        shapes = self.shapes(input)
        with outside_of_trace():
            for name, shape in shapes.items():
                entry = self._parameters.get(name, self._buffers.get(name))
                if is_uninitialized(entry):
                    entry.materialize(shape)
            if fresh:
                self.reset_parameters()

    def forward(self, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Become the ordinary layer, and do what it does."""
        self.initialize_parameters(need_tensor(input, type(self).__name__))
        object.__setattr__(self, "__class__", self.ordinary)
        note_change(self)
        return self.forward(input, *args, **kwargs)


class LazyLinear(LazyModule, Linear):
    """`Linear` whose `in_features` are those of the first input.

    >>> import chainrule
    >>> layer = LazyLinear(3)
    >>> y = layer(chainrule.ones(2, 5)); layer
    Linear(in_features=5, out_features=3, bias=True)
    """

    ordinary = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        Linear.__init__(self, 0, out_features, bias, device, dtype)
        self._make_lazy(device, dtype)

    def shapes(self, input: Tensor) -> dict[str, tuple[int, ...]]:
        """The last extent is `in_features`."""
        self.in_features = input.shape[-1]
        return {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}


class _LazyWindow(LazyModule):
    """What lazy convolutions and transposed convolutions share."""

    def shapes(self, input: Tensor) -> dict[str, tuple[int, ...]]:
        """The channels are `in_channels`."""
        layer: Any = self
        n = layer.dimensions
        if input.ndim not in (n + 1, n + 2):
            raise ShapeError(f"takes inputs of {n + 1} or {n + 2} dimensions, got {tuple(input.shape)}.")
        channels, out = input.shape[-n - 1], layer.out_channels
        layer.in_channels = channels
        if channels % layer.groups:
            raise ShapeError(f"{channels} channels cannot be divided into {layer.groups} groups.")
        first, second = (channels, out) if layer.transposed else (out, channels)
        return {"weight": (first, second // layer.groups, *layer.kernel_size), "bias": (out,)}


class _LazyConv(_LazyWindow):
    """What the lazy convolutions share."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        window = (kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        _ordinary_init(self, 0, out_channels, *window, device, dtype)
        self._make_lazy(device, dtype)


class _LazyConvTranspose(_LazyWindow):
    """What the lazy transposed convolutions share."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        window = (kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode)
        _ordinary_init(self, 0, out_channels, *window, device, dtype)
        self._make_lazy(device, dtype)


def _ordinary_init(layer: Any, *args: Any, **kwargs: Any) -> None:
    """Set a lazy layer up as the ordinary one, which stands behind it in its bases."""
    layer.ordinary.__init__(layer, *args, **kwargs)


class _LazyNorm(LazyModule):
    """What the lazy norms share."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        _ordinary_init(self, 0, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self._make_lazy(device, dtype)

    def shapes(self, input: Tensor) -> dict[str, tuple[int, ...]]:
        """The channels are `num_features`."""
        layer: Any = self
        layer._check(input)
        alone = layer.ordinary.__name__.startswith("Instance") and input.ndim == min(layer.ranks)
        layer.num_features = input.shape[0 if alone else 1]
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (layer.num_features,))


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` whose `in_channels` are those of the first input.

    >>> import chainrule
    >>> layer = LazyConv1d(3, 2)
    >>> y = layer(chainrule.ones(2, 4, 5)); layer.in_channels, layer.weight.shape
    (4, Size([3, 4, 2]))
    """

    ordinary = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` whose `in_channels` are those of the first input.

    >>> import chainrule
    >>> layer = LazyConv2d(3, 2)
    >>> y = layer(chainrule.ones(2, 4, 5, 5)); layer.in_channels, layer.weight.shape
    (4, Size([3, 4, 2, 2]))
    """

    ordinary = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """`Conv3d` whose `in_channels` are those of the first input.

    >>> import chainrule
    >>> layer = LazyConv3d(3, 2)
    >>> y = layer(chainrule.ones(2, 4, 5, 5, 5)); layer.in_channels, layer.weight.shape
    (4, Size([3, 4, 2, 2, 2]))
    """

    ordinary = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """`ConvTranspose1d` whose `in_channels` are those of the first input.

    >>> import chainrule
    >>> layer = LazyConvTranspose1d(3, 2)
    >>> y = layer(chainrule.ones(2, 4, 5)); layer.in_channels, layer.weight.shape
    (4, Size([4, 3, 2]))
    """

    ordinary = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """`ConvTranspose2d` whose `in_channels` are those of the first input.

    >>> import chainrule
    >>> layer = LazyConvTranspose2d(3, 2)
    >>> y = layer(chainrule.ones(2, 4, 5, 5)); layer.in_channels, layer.weight.shape
    (4, Size([4, 3, 2, 2]))
    """

    ordinary = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """`ConvTranspose3d` whose `in_channels` are those of the first input.

    >>> import chainrule
    >>> layer = LazyConvTranspose3d(3, 2)
    >>> y = layer(chainrule.ones(2, 4, 5, 5, 5)); layer.in_channels, layer.weight.shape
    (4, Size([4, 3, 2, 2, 2]))
    """

    ordinary = ConvTranspose3d


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """`BatchNorm1d` whose `num_features` are the channels of the first input.

    >>> import chainrule
    >>> layer = LazyBatchNorm1d()
    >>> y = layer(chainrule.ones(2, 4, 5)); layer.num_features
    4
    """

    ordinary = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """`BatchNorm2d` whose `num_features` are the channels of the first input.

    >>> import chainrule
    >>> layer = LazyBatchNorm2d()
    >>> y = layer(chainrule.ones(2, 4, 5, 5)); layer.num_features
    4
    """

    ordinary = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """`BatchNorm3d` whose `num_features` are the channels of the first input.

    >>> import chainrule
    >>> layer = LazyBatchNorm3d()
    >>> y = layer(chainrule.ones(2, 4, 5, 5, 5)); layer.num_features
    4
    """

    ordinary = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """`InstanceNorm1d` whose `num_features` are the channels of the first input.

    >>> import chainrule
    >>> layer = LazyInstanceNorm1d()
    >>> y = layer(chainrule.ones(2, 4, 5)); layer.num_features
    4
    """

    ordinary = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """`InstanceNorm2d` whose `num_features` are the channels of the first input.

    >>> import chainrule
    >>> layer = LazyInstanceNorm2d()
    >>> y = layer(chainrule.ones(2, 4, 5, 5)); layer.num_features
    4
    """

    ordinary = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """`InstanceNorm3d` whose `num_features` are the channels of the first input.

    >>> import chainrule
    >>> layer = LazyInstanceNorm3d()
    >>> y = layer(chainrule.ones(2, 4, 5, 5, 5)); layer.num_features
    4
    """

    ordinary = InstanceNorm3d
