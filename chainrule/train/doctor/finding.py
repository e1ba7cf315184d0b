"""A finding: one thing that is wrong with a training run, with what shows it and what to try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: From what one should know to what makes training worthless.
SEVERITIES = ("note", "warning", "fault")
#: So many layers are named where findings are to be read.
MOST_PATHS = 8


@dataclass(frozen=True)
class Finding:
    """What the doctor found.

    Attributes:
        condition: which condition, such as "dying ReLU".
        severity: "note", "warning" or "fault".
        evidence: what was seen, in numbers.
        cause: what it likely comes from.
        remedies: what to try, the most promising first.
        epoch: in which epoch it was seen, counted from 1; 0 before the first.
        paths: the layers or parameters concerned, by their dotted paths.
        step: of agents, which have no epochs, after how many steps.

    >>> finding = Finding("dying ReLU", "warning", "30 of 32 units", "large steps", ("LeakyReLU",), 2, ("layers.2",))
    >>> Finding.from_json(finding.to_json()) == finding
    True
    """

    condition: str
    severity: str
    evidence: str
    cause: str
    remedies: tuple[str, ...]
    epoch: int = 0
    paths: tuple[str, ...] = ()
    step: int = 0

    def when(self) -> str:
        """The epoch or the step, to be read: "epoch 2", "at the start"."""
        if self.step:
            return f"step {self.step:,}"
        return f"epoch {self.epoch}" if self.epoch else "at the start"

    def where(self, quote: str = "") -> str:
        """The paths, to be read: "0.weight, 3.weight and 2 more"; each between quotation marks if some are given."""
        shown = [f"{quote}{path or 'the model itself'}{quote}" for path in self.paths[:MOST_PATHS]]
        more = len(self.paths) - MOST_PATHS
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

    def to_json(self) -> dict[str, Any]:
        """As a dictionary of what JSON can hold."""
        return {**asdict(self), "remedies": list(self.remedies), "paths": list(self.paths)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Finding:
        """From what `to_json` gave."""
        return cls(**{**saved, "remedies": tuple(saved["remedies"]), "paths": tuple(saved["paths"])})
