"""The layers of normalisation; what they compute is in `functions.py`."""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.errors import ShapeError
from chainrule.functions.creation import ones, tensor, zeros
from chainrule.functions.promotion import need_tensor
from chainrule.nn.init import ones_, zeros_
from chainrule.nn.module import Module
from chainrule.nn.normalisation import functions
from chainrule.tensor import Parameter, Tensor


class _NormBase(Module):
    """What batch and instance norm share: parameters for each channel, and running statistics."""

    #: The numbers of dimensions of the input that are taken.
    ranks: ClassVar[tuple[int, ...]] = ()

    _absent_in_old_files = frozenset({"num_batches_tracked"})

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.register_parameter("weight", Parameter(ones(num_features, **kind)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features, **kind)) if affine and bias else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, **kind) if tracked else None)
        self.register_buffer("running_var", ones(num_features, **kind) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device) if tracked else None)

    def reset_running_stats(self) -> None:
        """Running statistics to mean 0 and variance 1."""
        if self.track_running_stats:
            zeros_(self.running_mean)
            ones_(self.running_var)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """γ = 1, β = 0, and running statistics as at the start."""
        self.reset_running_stats()
        if self.weight is not None:
            ones_(self.weight)
        if self.bias is not None:
            zeros_(self.bias)

    def _check(self, input: Tensor) -> None:
        if need_tensor(input, type(self).__name__).ndim not in self.ranks:
            known = " or ".join(f"{rank}-d" for rank in self.ranks)
            raise ShapeError(f"takes {known} inputs, got {tuple(input.shape)}.")

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    """What the layers of batch normalisation share."""

    differs_in_training = True

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        self._check(input)
        if input.shape[1] != self.num_features:
            raise ShapeError(f"got {input.shape[1]} channels in {tuple(input.shape)}, expects {self.num_features}.")
        momentum: Any = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain average of all batches so far
                momentum = 1.0 / self.num_batches_tracked.to(self.running_mean.dtype)
        follows = not self.training or self.track_running_stats
        mean, variance = (self.running_mean, self.running_var) if follows else (None, None)
        return self._normalised(input, mean, variance, momentum)

    def _normalised(self, input: Tensor, mean: Tensor | None, variance: Tensor | None, momentum: Any) -> Tensor:
        by_batch = self.training or self.running_mean is None
        return functions.batch_norm(input, mean, variance, self.weight, self.bias, by_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L): each channel to mean 0 and variance 1 over the batch.

    Args:
        num_features: the channels C.
        eps: ε, added to the variance.
        momentum: how far the running statistics move towards each batch's; None for the plain average of all.
        affine: whether to learn γ and β.
        track_running_stats: whether to keep running statistics, which evaluation uses instead of the batch's.
        bias: whether there is a β.

    Formula, errors and source at `functional.batch_norm`.

    >>> import chainrule
    >>> layer = BatchNorm1d(1)
    >>> layer(chainrule.tensor([[1.0], [3.0]])).detach()
    tensor([[-1.0000],
            [ 1.0000]])
    >>> layer.running_mean, layer.running_var
    (tensor([0.2000]), tensor([1.1000]))
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W), over samples and places; arguments as `BatchNorm1d`.

    >>> import chainrule
    >>> BatchNorm2d(3)(chainrule.ones(2, 3, 4, 4)).shape
    Size([2, 3, 4, 4])
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes (N, C, D, H, W); arguments as `BatchNorm1d`.

    >>> import chainrule
    >>> BatchNorm3d(3)(chainrule.ones(2, 3, 2, 2, 2)).shape
    Size([2, 3, 2, 2, 2])
    """

    ranks = (5,)


class _InstanceNorm(_NormBase):
    """What the layers of instance normalisation share."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.differs_in_training = track_running_stats

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        self._check(input)
        alone = input.ndim == min(self.ranks)
        x = input.unsqueeze(0) if alone else input
        if x.shape[1] != self.num_features and self.affine:
            raise ShapeError(f"got {x.shape[1]} channels in {tuple(input.shape)}, expects {self.num_features}.")
        own = self.training or not self.track_running_stats
        y = functions.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, own, self.momentum or 0.0, self.eps
        )
        return y.squeeze(0) if alone else y


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L) or (C, L); arguments as `BatchNorm1d`, formula at `functional.instance_norm`.

    Neither γ and β nor running statistics unless asked for.

    >>> import chainrule
    >>> InstanceNorm1d(1)(chainrule.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.0000,  1.0000]]])
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of images (N, C, H, W) or (C, H, W); see `InstanceNorm1d`.

    >>> import chainrule
    >>> InstanceNorm2d(3)(chainrule.ones(2, 3, 4, 4)).shape
    Size([2, 3, 4, 4])
    """

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of volumes (N, C, D, H, W) or (C, D, H, W); see `InstanceNorm1d`.

    >>> import chainrule
    >>> InstanceNorm3d(3)(chainrule.ones(2, 3, 2, 4, 4)).shape
    Size([2, 3, 2, 4, 4])
    """

    ranks = (4, 5)


class LayerNorm(Module):
    """Layer normalisation over the last dimensions; formula, errors and source at `functional.layer_norm`.

    Args:
        normalized_shape: the shape of those dimensions, or the number of one.
        eps: ε, added to the variance.
        elementwise_affine: whether to learn γ and β, one for each entry.
        bias: whether there is a β.

    >>> import chainrule
    >>> LayerNorm(2)(chainrule.tensor([[1.0, 3.0]])).detach()
    tensor([[-1.0000,  1.0000]])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.register_parameter("weight", Parameter(ones(*shape, **kind)) if elementwise_affine else None)
        self.register_parameter("bias", Parameter(zeros(*shape, **kind)) if elementwise_affine and bias else None)

    def reset_parameters(self) -> None:
        """γ = 1 and β = 0."""
        if self.weight is not None:
            ones_(self.weight)
        if self.bias is not None:
            zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return functions.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Group normalisation of (N, C, …); formula, errors and source at `functional.group_norm`.

    Args:
        num_groups: how many groups the channels make.
        num_channels: the channels C, a multiple of it.
        eps: ε, added to the variance.
        affine: whether to learn γ and β, one for each channel.
        bias: whether there is a β.

    >>> import chainrule
    >>> GroupNorm(2, 4)(chainrule.ones(1, 4, 3)).shape
    Size([1, 4, 3])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels {num_channels} is not a multiple of num_groups {num_groups}.")
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.register_parameter("weight", Parameter(ones(num_channels, **kind)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_channels, **kind)) if affine and bias else None)

    def reset_parameters(self) -> None:
        """γ = 1 and β = 0."""
        if self.weight is not None:
            ones_(self.weight)
        if self.bias is not None:
            zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return functions.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Root-mean-square normalisation over the last dimensions; formula and source at `functional.rms_norm`.

    Args:
        normalized_shape: the shape of those dimensions, or the number of one.
        eps: ε under the root; None for the data type's smallest step at 1.
        elementwise_affine: whether to learn γ, one for each entry.

    >>> import chainrule
    >>> RMSNorm(2)(chainrule.tensor([[3.0, 3.0]])).detach()
    tensor([[1.0000, 1.0000]])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        weight = Parameter(ones(*shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def reset_parameters(self) -> None:
        """γ = 1."""
        if self.weight is not None:
            ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functions.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """Each entry divided by what its neighbouring channels have; arguments as `functional.local_response_norm`.

    >>> import chainrule
    >>> LocalResponseNorm(2)(chainrule.ones(1, 3, 4)).shape
    Size([1, 3, 4])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return functions.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
