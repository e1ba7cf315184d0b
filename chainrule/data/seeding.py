"""Random numbers for code that runs inside a loader: a function of the pass and the batch, not of who runs it.

Whatever a data set, a sampler or a collating function draws while it makes batch b comes from a stream of its own,
whose seed is made from the seed of the pass and b. So a batch is the same in this process and in any worker, and the
same after an interruption as without one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from chainrule.random import default_generator


def mixed_seed(seed: int, *numbers: int) -> int:
    """A seed made from a seed and numbers, by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).

    >>> mixed_seed(1, 2) == mixed_seed(1, 2) != mixed_seed(2, 1)
    True
    """
    word = seed
    for number in numbers:
        word = (word + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
        word ^= word >> 31
    return word


def seed_everything(seed: int) -> None:
    """Start the streams of this seed: chainrule's default generator, Python's `random`, NumPy's."""
    default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw from streams of this seed within, and go on afterwards as if nothing had been drawn. None changes nothing.

    >>> import chainrule
    >>> with seeded(5): first = chainrule.rand(2)
    >>> with seeded(5): chainrule.equal(first, chainrule.rand(2))
    True
    """
    if seed is None:
        yield
        return
    ours, first_seed, python = default_generator.get_state(), default_generator.initial_seed(), random.getstate()
    numpys = np.random.get_state()
    seed_everything(seed)
    try:
        yield
    finally:
        default_generator.manual_seed(first_seed)  # what `initial_seed` says
        default_generator.set_state(ours)
        random.setstate(python)
        np.random.set_state(numpys)
