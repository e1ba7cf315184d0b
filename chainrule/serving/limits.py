"""How much and how often somebody may ask."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple


class Limits(NamedTuple):
    """What a request may be.

    Attributes:
        body_bytes: of a request.
        body_seconds: in which it must have come.
        head_seconds: in which its first lines must have come, and the next request's on the same connection.
        pixels_bytes: of an image when decoded.
        rate: requests per second from one address, on average; 0 for no limit. Twice as many may come at once.
        connections: open at the same time.
    """

    body_bytes: int = 8 * 2**20
    body_seconds: float = 10.0
    head_seconds: float = 10.0
    pixels_bytes: int = 64 * 2**20
    rate: float = 100.0
    connections: int = 256


class Rates:
    """A bucket for each address: it fills at the rate, holds two seconds of it, and each request takes one out.

    >>> now = [0.0]
    >>> rates = Rates(2, clock=lambda: now[0])
    >>> [rates.wait_for("a") for _ in range(5)], rates.wait_for("b")
    ([0.0, 0.0, 0.0, 0.0, 0.5], 0.0)
    >>> now[0] = 0.5
    >>> rates.wait_for("a")
    0.0
    """

    #: Addresses that are remembered; the one that asked longest ago goes.
    KEPT = 10_000

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self.rate, self.clock = rate, clock
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_for(self, address: str) -> float:
        """0 if this address may ask now, else how many seconds later."""
        if not self.rate:
            return 0.0
        now, most = self.clock(), max(2 * self.rate, 1.0)
        level, then = self.buckets.pop(address, (most, now))
        level = min(most, level + (now - then) * self.rate)
        allowed = level >= 1
        self.buckets[address] = (level - 1 if allowed else level, now)
        if len(self.buckets) > self.KEPT:
            self.buckets.popitem(last=False)
        return 0.0 if allowed else (1 - level) / self.rate
