"""DistributedSampler: each of several programs goes through its own share of a data set."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np

from chainrule.data.dataset import Places
from chainrule.data.sampler import _OrderedSampler
from chainrule.devices import CPU
from chainrule.random import Generator, randperm


class DistributedSampler(_OrderedSampler):
    """Every `num_replicas`-th place of an order that all share, beginning with the `rank`-th.

    The order depends on `seed` and on the epoch that `set_epoch` was told last. So that all shares are equally long,
    places from the beginning come again at the end, or (`drop_last`) the last ones are left out.

    Args:
        dataset: what the places are in.
        num_replicas, rank: how many shares and which is ours; from the process group (1 and 0) unless given.
        shuffle: whether the order is random.
        seed: where it comes from, the same everywhere.
        drop_last: leave out what is too much, instead of repeating.

    Raises ValueError if the rank is not below `num_replicas`; ProcessGroupError if neither is given and there is no
    process group.

    >>> [list(DistributedSampler("abcde", 2, rank, shuffle=False)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            from chainrule.distributed import get_rank, get_world_size

            num_replicas = get_world_size() if num_replicas is None else num_replicas
            rank = get_rank() if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(f"DistributedSampler: rank is 0 to {num_replicas - 1}, got {rank}.")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0

    @property
    def num_samples(self) -> int:
        """How many places the share has."""
        count = len(self.dataset)
        return count // self.num_replicas if self.drop_last else -(-count // self.num_replicas)

    @property
    def total_size(self) -> int:
        """How many places all shares have together."""
        return self.num_samples * self.num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Shuffle differently from now on: call it before each epoch with its number."""
        self.epoch = epoch

    def order(self) -> Places:
        """The places of one pass through the share."""
        count = len(self.dataset)
        places = np.arange(count)
        if self.shuffle:
            places = randperm(count, device=CPU, generator=Generator().manual_seed(self.seed + self.epoch)).array
        return np.resize(places, self.total_size)[self.rank :: self.num_replicas] if count else places

    def __len__(self) -> int:
        return self.num_samples
