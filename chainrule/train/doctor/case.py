"""Everything that is known about a training run that is being watched, or of which only the figures are left."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.tensor import Tensor
from chainrule.train.doctor.chance import constant_loss
from chainrule.train.doctor.seen import Seen

#: How many losses of batches are remembered.
REMEMBERED = 100
#: So many entries of a parameter are looked at after every batch.
PEEKED = 1024
#: A loss so many times as large as another is far above it.
FAR = 10
#: With such a share of right answers in training, a loss is not too large.
GOOD = 0.9


@dataclass
class Case:
    """What the rules may read.

    Attributes:
        model: None where only figures are left.
        loss_function: None where it is not known; likewise the optimizer.
        masters: what the optimiser holds in the place of parameters, by their names (a model in bfloat16).
        clipped: whether gradients are clipped before the step.
        after_step: whether a batch is seen after its step, as in a Trainer, or before, as in a loop of one's own.
        spoiled: whether a gradient that is no number has been found to have broken the weights.
        norm: of the gradient that ended training though the loss was finite; else 0.
        fresh: whether training begins, or goes on from before.
        epoch: the epoch that runs, counted from 1; 0 before the first.
        step: batches seen in all.
        acted: steps that an agent has taken; 0 for other models.
        first_loss: of the very first batch, before any step; NaN where it is not known.
        losses: of the last batches.
        rows: a dictionary of figures for each epoch.
        train: what was seen of the training data.
        validation: what was seen of the validation data.
        in_evaluation: the loss of some training samples in evaluation mode after each epoch; NaN where not measured.
        moved: how far the weights are from where they began, relative to their size; NaN where not known.
        baseline: what `constant_loss` found out; NaN before.
    """

    model: Any = None
    loss_function: Any = None
    optimizer: Any = None
    masters: dict[str, Tensor] = field(default_factory=dict)
    clipped: bool = False
    after_step: bool = True
    spoiled: bool = False
    norm: float = 0.0
    fresh: bool = True
    epoch: int = 0
    step: int = 0
    acted: int = 0
    first_loss: float = math.nan
    losses: list[float] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    train: Seen = field(default_factory=Seen)
    validation: Seen = field(default_factory=Seen)
    in_evaluation: list[float] = field(default_factory=list)
    moved: float = math.nan
    baseline: float = math.nan

    def add_loss(self, loss: float) -> None:
        """Remember the loss of a batch."""
        self.step += 1
        if self.step == 1 and self.fresh:
            self.first_loss = loss
        self.losses = [*self.losses[1 - REMEMBERED :], loss]

    def figures(self, name: str) -> list[float]:
        """One figure over the epochs, such as "validation_loss"; empty unless every epoch has it."""
        values = [row.get(name) for row in self.rows]
        return [float(value) for value in values if value is not None] if None not in values else []

    def constant_loss(self) -> float:
        """The loss of the best answer that is always the same, as far as the targets seen tell; NaN if unknown."""
        if math.isnan(self.baseline):
            self.baseline = constant_loss(self.loss_function, self.train)
        return self.baseline

    def broken(self) -> tuple[str, ...]:
        """The parameters that hold NaN or infinities."""
        named = self.model.named_parameters() if self.model is not None else ()
        return tuple(name for name, p in named if not np.isfinite(p.detach().read()).all())

    def first_is_broken(self) -> bool:
        """Whether the first parameter that learns, where every gradient arrives, shows NaN or infinities."""
        first = next((p for p in self.model.parameters() if p.requires_grad), None)
        return first is not None and not np.isfinite(first.detach().read().reshape(-1)[:PEEKED]).all()

    def left_out(self) -> tuple[str, ...]:
        """The parameters that want gradients and that the optimiser, if it is known, does not hold."""
        if self.optimizer is None:
            return ()
        held = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        named = [(name, self.masters.get(name, p)) for name, p in self.model.named_parameters() if p.requires_grad]
        return tuple(name for name, p in named if id(p) not in held)

    def learning(self) -> list[Tensor]:
        """What the steps change: the parameters that want gradients, or their masters, whose steps are finer."""
        return [self.masters.get(name, p) for name, p in self.model.named_parameters() if p.requires_grad]

    def grew(self) -> bool:
        """Whether the last loss is far above the first."""
        return len(self.losses) > 1 and self.losses[-1] > FAR * max(abs(self.losses[0]), 1e-12)

    def succeeds(self) -> bool:
        """Whether the share of right answers in training, if known, is high."""
        accuracy = self.figures("train_accuracy")
        return bool(accuracy) and accuracy[-1] >= GOOD

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on, without the data."""
        return {
            "step": self.step, "first_loss": self.first_loss, "losses": list(self.losses), "baseline": self.baseline,
            "in_evaluation": list(self.in_evaluation),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for name, value in state.items():
            setattr(self, name, list(value) if isinstance(value, list | tuple) else value)
