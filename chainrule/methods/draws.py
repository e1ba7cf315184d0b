"""Random numbers as methods: filling a tensor in place, and draws by the probabilities that it holds.

`chainrule.random` is loaded when the first of them is called.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from chainrule.errors import NumberRangeError
from chainrule.functions.words import teach

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


@functools.partial(teach, out=False)
class Draws:
    """`x.normal_()`, `x.bernoulli()` and their like."""

    def uniform_(self: Any, low: float = 0.0, high: float = 1.0, *, generator: Any = None) -> Tensor:
        """Fill with numbers uniform in [low, high), in place. Raises NumberRangeError if low > high."""
        from chainrule.random import rand_like

        if not low <= high:
            raise NumberRangeError(f"uniform_ draws from [low, high), got {low} and {high}.")
        return self.assign(rand_like(self, generator=generator) * (high - low) + low)

    def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
        """Fill with normal numbers of this mean and standard deviation, in place; NumberRangeError if negative."""
        from chainrule.random import need_deviation, randn_like

        need_deviation(std, "normal_")
        return self.assign(randn_like(self, generator=generator) * std + mean)

    def bernoulli_(self: Any, p: float = 0.5, *, generator: Any = None) -> Tensor:
        """Fill with 1 (probability p) and 0, in place."""
        from chainrule.random import bernoulli

        return self.assign(bernoulli(self, p, generator=generator))

    def random_(self: Any, low: int = 0, high: int | None = None, *, generator: Any = None) -> Tensor:
        """Fill with integers uniform in [low, high), in place; `random_(high)` starts at 0."""
        from chainrule.random import randint_like

        low, high = (0, low) if high is None else (low, high)
        return self.assign(randint_like(self.long(), low, high, generator=generator).to(self.dtype))

    def bernoulli(self: Any, p: float | None = None, *, generator: Any = None) -> Tensor:
        """1 with the probability that stands in each entry, else 0; see `chainrule.bernoulli`."""
        from chainrule.random import bernoulli

        return bernoulli(self, p, generator=generator)

    def multinomial(self: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
        """Indices drawn with probability proportional to the entries; see `chainrule.multinomial`."""
        from chainrule.random import multinomial

        return multinomial(self, num_samples, replacement, generator=generator)

    def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
        """Fill with waiting times of rate lambd > 0, in place: −ln(1 − u) / lambd."""
        from chainrule.random import rand_like

        if not lambd > 0:
            raise NumberRangeError(f"exponential_: the rate is above 0, got {lambd}.")
        return self.assign(-(-rand_like(self, generator=generator)).log1p() / lambd)

    def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Tensor:
        """Fill with numbers of Cauchy's distribution, in place: median + sigma · tan(π(u − ½))."""
        from chainrule.random import rand_like

        if not sigma > 0:
            raise NumberRangeError(f"cauchy_: sigma is above 0, got {sigma}.")
        return self.assign(((rand_like(self, generator=generator) - 0.5) * math.pi).tan() * sigma + median)

    def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Tensor:
        """Fill with numbers whose logarithm is normal with this mean and standard deviation, in place."""
        return self.normal_(mean, std, generator=generator).exp_()

    def geometric_(self: Any, p: float, *, generator: Any = None) -> Tensor:
        """Fill with how many trials the first success of probability p takes: 1, 2, …, in place."""
        from chainrule.random import rand_like

        if not 0 < p < 1:
            raise ValueError(f"geometric_: the probability lies in (0, 1), got {p}.")
        u = rand_like(self.float() if self.dtype.kind < 2 else self, generator=generator)
        return self.assign(((-u).log1p() / math.log1p(-p)).floor().add(1).to(self.dtype))
