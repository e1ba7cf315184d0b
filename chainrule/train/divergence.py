"""A step whose loss is no finite number: the weights stay what they were, and the step is done again to see why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chainrule.autodiff.anomaly import AnomalyError, detect_anomaly
from chainrule.autodiff.mode import no_grad
from chainrule.changes import put_back
from chainrule.errors import DivergedError
from chainrule.functions.creation import tensor
from chainrule.functions.logic import isfinite, where
from chainrule.nn.module import Module
from chainrule.optim.optimizer import memory_of
from chainrule.random import default_generator
from chainrule.tensor import Tensor

if TYPE_CHECKING:
    from chainrule.train.trainer import Batch, Trainer

#: What the functions below read counts when they are compiled, as in a user's code.
__observed__ = True

#: So many parameters are named.
MOST = 3


class Kept:
    """What a batch changes besides the weights, as it was before: buffers, and what the optimiser remembers.

    Which tensors there are is kept, and with `values` what they hold, which costs nothing in eager code: values never
    change. A compiled step writes in place where nobody looks at the old value, and makes the choice itself (below).
    """

    def __init__(self, trainer: Trainer, values: bool) -> None:
        memory = [trainer.optimizer.state, *trainer.optimizer.state.values()]
        tables = [part._buffers for module in _modules_of(trainer) for part in module.modules()]
        self._tables = [(table, dict(table)) for table in [*tables, *memory] if isinstance(table, dict)]
        lists = [x for entries in memory[1:] if isinstance(entries, dict) for x in entries.values()]
        self._lists = [(x, list(x)) for x in lists if isinstance(x, list)]
        tensors = buffers_of(trainer) if values else []
        if values and trainer.optimizer.closure:  # which steps before anybody looks at the loss
            tensors += memory_of(trainer.optimizer)
        self._values = [(tensor, tensor.value) for tensor in tensors]

    def put_back(self) -> None:
        """Let all be what it was."""
        for table, entries in self._tables:
            put_back(table, entries)
        for whole, parts in self._lists:
            whole[:] = parts
        for cell, value in self._values:
            cell.set_value(value)


def _modules_of(trainer: Trainer) -> list[Module]:
    return [part for part in (trainer.model, trainer.loss) if isinstance(part, Module)]


def buffers_of(trainer: Trainer) -> list[Tensor]:
    """The buffers of the model and of the loss."""
    return [buffer for module in _modules_of(trainer) for buffer in module.buffers()]


def copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """What they hold now."""
    with no_grad():
        return [x.detach().clone() for x in tensors]


def put_back_unless(good: Tensor, tensors: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    """Give tensors their old values if something is not good.

    This is for compiled steps, where no number can be asked for before the weights change. There it is one more choice
    in the kernel that writes them.

    >>> weight = tensor([1.0, 2.0])
    >>> before = copies([weight])
    >>> _ = weight.add_(math.nan)
    >>> put_back_unless(are_finite(tensor(math.nan), None), [weight], before)
    >>> weight
    tensor([1., 2.])
    """
    with no_grad():
        for x, old in zip(tensors, before, strict=True):
            x.copy_(where(good, x, old))


def are_finite(loss: Tensor, norm: Tensor | None) -> Tensor:
    """Whether the loss is finite, and the gradients' norm where it is known."""
    with no_grad():
        good = isfinite(loss.detach())
        return good if norm is None else good & isfinite(norm.detach())


def has_diverged(loss: Tensor | None, norm: Tensor | None) -> bool:
    """Whether one of them, where it is known, is not finite: the loss or the gradient's norm. For eager steps."""
    return any(x is not None and not math.isfinite(x.item()) for x in (loss, norm))


def said(error: AnomalyError) -> str:
    """The operation, with the line of the user's code that asked for it."""
    line = error.anomaly.line if error.anomaly is not None else None
    return f"{error} Line {line[1]} of {line[0]} asked for it." if line else str(error)


class Retry:
    """What is needed to leave nothing of a step that diverged, and to do it again: what there was before."""

    def __init__(self) -> None:
        self._state: Any = None
        self._kept: Kept | None = None

    def remember(self, trainer: Trainer) -> None:
        """A step begins."""
        self._state = default_generator.state.value.array.copy()
        self._kept = Kept(trainer, values=trainer._is_eager())

    def take_back(self) -> None:
        """The step has diverged."""
        if self._kept is not None:
            self._kept.put_back()

    def first_nan(self, trainer: Trainer, inputs: Any, targets: Any) -> AnomalyError | None:
        """The first operation of the forward and backward pass that makes a NaN or an infinity; None if none does."""
        now = default_generator.get_state()
        default_generator.set_state(tensor(self._state))
        gradients = [(p, p.grad) for p in trainer.model.parameters()]
        kept = Kept(trainer, values=True)
        try:
            with detect_anomaly():
                output = trainer._forward(inputs if trainer.transform is None else trainer.transform(inputs))
                trainer.loss(output, targets).backward()
        except AnomalyError as error:
            return error
        finally:
            default_generator.set_state(now)
            for parameter, gradient in gradients:
                parameter.grad = gradient
            kept.put_back()
        return None

    def error(self, trainer: Trainer, batch: Batch) -> DivergedError:
        """What to raise for a batch that diverged: what was seen, where it began, and what to try."""
        loss, norm = batch.loss, batch.gradient_norm
        seen = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
        return DivergedError(
            f"{seen} in batch {trainer.step + 1} of epoch {trainer.epoch + 1}: {self._origin(trainer, batch)} Try a "
            "smaller learning rate, look for NaN in the data, clip gradients."
        )

    def _origin(self, trainer: Trainer, batch: Batch) -> str:
        error = self.first_nan(trainer, batch.inputs, batch.targets)
        if error is not None:
            return said(error)
        broken = [name for name, p in trainer.model.named_parameters() if not isfinite(p.detach()).all().item()]
        if not broken:
            return self._not_made_here(trainer, batch)
        more = f" and {len(broken) - MOST} more" if len(broken) > MOST else ""
        return (
            f"{', '.join(broken[:MOST])}{more} had NaN or infinities before this batch; an earlier step made them, and "
            "`Trainer(…, debug=True)` names the operation."
        )

    def _not_made_here(self, trainer: Trainer, batch: Batch) -> str:
        """Why a step diverged whose batch, done again with sound weights, gives finite numbers."""
        if math.isfinite(batch.loss) and (trainer.accumulate > 1 or trainer.processes is not None):
            return "every gradient of this batch is finite, but not that of another one in this step, or their squares."
        if math.isfinite(batch.loss) and math.isinf(batch.gradient_norm):
            why = "every gradient is finite, but the sum of their squares is not: they have exploded."
            return why if trainer.clip_norm is not None else f"{why} `gradient_norm=False` goes on all the same."
        return "done again operation by operation, the step makes no NaN."
