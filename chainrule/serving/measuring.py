"""What the server counts, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

#: Upper ends of the bins, in seconds; and of batch sizes.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Histogram:
    r"""How many values were at most so large, their number and their sum.

    >>> found = Histogram("wait_seconds", "How long.", (0.1, 1))
    >>> found.add(0.5)
    >>> print("\n".join(found.lines()))
    # HELP wait_seconds How long.
    # TYPE wait_seconds histogram
    wait_seconds_bucket{le="0.1"} 0
    wait_seconds_bucket{le="1"} 1
    wait_seconds_bucket{le="+Inf"} 1
    wait_seconds_sum 0.5
    wait_seconds_count 1
    """

    def __init__(self, name: str, text: str, ends: Sequence[float]) -> None:
        self.name, self.text, self.ends = name, text, tuple(ends)
        self.counts = [0] * (len(ends) + 1)
        self.sum, self.count = 0.0, 0

    def add(self, value: float) -> None:
        """Count a value."""
        for i, end in enumerate(self.ends):
            if value <= end:
                self.counts[i] += 1
        self.sum += value
        self.count += 1

    def lines(self) -> list[str]:
        """As Prometheus reads it."""
        bins = [f'{self.name}_bucket{{le="{end:g}"}} {n}' for end, n in zip(self.ends, self.counts, strict=False)]
        return [
            f"# HELP {self.name} {self.text}",
            f"# TYPE {self.name} histogram",
            *bins,
            f'{self.name}_bucket{{le="+Inf"}} {self.count}',
            f"{self.name}_sum {self.sum:g}",
            f"{self.name}_count {self.count}",
        ]


class Measures:
    """All counters of a server. Paths are those that exist; every other one is counted as "other"."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds = Histogram("chainrule_request_seconds", "Time to answer a question.", SECONDS)
        self.batches = Histogram("chainrule_batch_size", "Questions that were computed together.", SIZES)
        self.active = 0

    def text(self) -> str:
        """Everything, for /metrics."""
        lines = [
            "# HELP chainrule_requests_total Requests by path and status.",
            "# TYPE chainrule_requests_total counter",
            *(
                f'chainrule_requests_total{{path="{path}",status="{status}"}} {count}'
                for (path, status), count in sorted(self.requests.items())
            ),
            "# HELP chainrule_active_requests Requests that are being answered.",
            "# TYPE chainrule_active_requests gauge",
            f"chainrule_active_requests {self.active}",
            *self.seconds.lines(),
            *self.batches.lines(),
        ]
        return "\n".join(lines) + "\n"
