"""Batch normalisation over the batches of several processes."""

from __future__ import annotations

from typing import Any

from chainrule.distributed.group import ProcessGroup, find_group, is_initialized
from chainrule.distributed.nn.functional import all_reduce
from chainrule.errors import ShapeError
from chainrule.functions.creation import tensor
from chainrule.nn.module import Module
from chainrule.nn.normalisation import functions
from chainrule.nn.normalisation.layers import _BatchNorm
from chainrule.tensor import Tensor


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation of (N, C, …) over the samples of all processes: a large batch in shares is one batch.

    In one process, and in evaluation, it is `BatchNorm1d` and its like. In training two sums travel forwards, for μ and
    σ², and two back, so all processes must be in the same layer. Their batches may differ in size.

    Args:
        num_features, eps, momentum, affine, track_running_stats, bias: as those of `BatchNorm1d`.
        process_group: the processes; None for all.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
    >>> model(chainrule.ones(4, 2)).shape, model[1]
    (Size([4, 3]), SyncBatchNorm(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True))
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: ProcessGroup | None = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: ProcessGroup | None = None) -> Any:
        """The module, each of its layers of batch normalisation replaced by one of these, with its state."""
        new: Any = module
        if isinstance(module, _BatchNorm):
            new = cls(
                module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats,
                process_group, bias=module.bias is not None,
            )  # fmt: skip
            new.weight, new.bias, new.training = module.weight, module.bias, module.training
            for name, buffer in module.named_buffers(recurse=False):
                setattr(new, name, buffer)
        for name, child in list(module._occupied()):
            setattr(new, name, cls.convert_sync_batchnorm(child, process_group))
        return new

    def _check(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ShapeError(f"takes (N, C, …), got {tuple(input.shape)}.")

    def _normalised(self, input: Tensor, mean: Tensor | None, variance: Tensor | None, momentum: Any) -> Tensor:
        group = find_group(self.process_group) if self.training and is_initialized() else None
        if group is None or group.size() == 1:
            return super()._normalised(input, mean, variance, momentum)
        x = input.float() if input.dtype.itemsize == 2 else input  # the squares of halves overflow
        axes, shape = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
        own = tensor(float(x.numel() // self.num_features), dtype=x.dtype, device=x.device)
        count = all_reduce(own, group=group)
        own_mean = all_reduce(x.sum(axes), group=group) / count
        centred = x - own_mean.reshape(shape)
        own_variance = all_reduce((centred * centred).sum(axes), group=group) / count
        y = centred * (own_variance + self.eps).rsqrt().reshape(shape)
        y = y if self.weight is None else y * self.weight.to(x.dtype).reshape(shape)
        y = y if self.bias is None else y + self.bias.to(x.dtype).reshape(shape)
        functions.follow(mean, own_mean, momentum)
        functions.follow(variance, own_variance * (count / (count - 1)), momentum)
        return y.to(input.dtype)
