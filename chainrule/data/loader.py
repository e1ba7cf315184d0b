"""Batches of a data set, in order or shuffled."""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.data.dataset import TensorDataset
from chainrule.functions.creation import arange
from chainrule.random import Generator, randperm
from chainrule.tensor import Tensor


class DataLoader:
    """Goes through a data set batch by batch; every pass is a new order if it shuffles.

    The order of a pass is drawn from the generator when the pass begins, so the same seed gives the same orders.

    Args:
        dataset: what the batches are taken from, by one indexed read each.
        batch_size: samples in a batch, at least 1; the last one may be smaller.
        shuffle: a new random order in every pass.
        drop_last: leave out a last batch that is smaller.
        generator: where the order comes from; the default generator unless given.

    Raises ValueError for a batch size below 1.

    >>> import chainrule
    >>> data = TensorDataset(chainrule.arange(5))
    >>> [batch for (batch,) in DataLoader(data, batch_size=2)]
    [tensor([0, 1]), tensor([2, 3]), tensor([4])]
    """

    def __init__(
        self,
        dataset: TensorDataset,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"a batch has at least one sample, got batch_size={batch_size}.")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        count = len(self.dataset)
        order = randperm(count, generator=self.generator) if self.shuffle else arange(count)
        for i in range(len(self)):
            yield self.dataset[order[i * self.batch_size : (i + 1) * self.batch_size]]
