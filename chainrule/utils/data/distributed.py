"""PyTorch's place for the sampler of several programs."""

from chainrule.data.distributed_sampler import DistributedSampler

__all__ = ["DistributedSampler"]
