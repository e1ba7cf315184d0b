"""The training loop: what one epoch is, and what evaluating means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ChainruleError
from chainrule.nn.module import Module
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
#: What is done with a batch: inputs and labels in, loss and scores out.
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
#: Called after each batch with the number of samples in it and the means so far in this epoch.
Progress = Callable[[int, "Scores"], None]


class Scores(NamedTuple):
    """Mean loss per sample and share of right answers, over all samples seen."""

    loss: float
    accuracy: float


class DivergedError(ChainruleError, FloatingPointError):
    """The loss is no longer a finite number."""


class _Sums:
    """Sums over samples, so that an uneven last batch counts as much as it has samples and no more."""

    def __init__(self) -> None:
        self.loss, self.right, self.count = 0.0, 0, 0

    def add(self, loss: float, scores: Tensor, labels: Tensor) -> Scores:
        self.loss += loss * len(labels)
        self.right += int((scores.detach().argmax(1) == labels).sum().item())
        self.count += len(labels)
        return self.means()

    def means(self) -> Scores:
        if not self.count:
            return Scores(math.nan, math.nan)
        return Scores(self.loss / self.count, self.right / self.count)


def training_step(model: Module, loss_function: Loss, optimizer: Optimizer) -> Step:
    """One step against the gradient as a function of a batch, ready for `chainrule.compile`.

    >>> import chainrule
    >>> model = chainrule.nn.Linear(2, 3)
    >>> optimizer = chainrule.optim.SGD(model.parameters(), lr=0.1)
    >>> step = chainrule.compile(training_step(model, chainrule.nn.CrossEntropyLoss(), optimizer))
    >>> loss, scores = step(chainrule.zeros(4, 2), chainrule.tensor([0, 1, 2, 0]))
    >>> scores.shape
    Size([4, 3])
    """

    def step(inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        scores = model(inputs)
        loss = loss_function(scores, labels)
        loss.backward()
        optimizer.step()
        return loss, scores

    return step


def evaluation_step(model: Module, loss_function: Loss) -> Step:
    """Loss and scores of a batch as a function of it, ready for `chainrule.compile`."""

    def step(inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        scores = model(inputs)
        return loss_function(scores, labels), scores

    return step


def train_epoch(
    model: Module,
    batches: Any,
    loss_function: Loss,
    optimizer: Optimizer,
    progress: Progress | None = None,
    step: Step | None = None,
) -> Scores:
    """Show the model every batch once, and after each take a step against the gradient.

    `batches` gives pairs (inputs, labels): inputs (N, …), labels (N,) int64. The model gives scores (N, classes), and
    the loss function their mean loss per sample. `progress` may raise to stop between two steps. `step` is what is done
    with a batch, if not the plain `training_step`: for instance that one compiled.

    Returns the means over the epoch, taken while the model was changing. Raises DivergedError if the loss becomes
    NaN or infinite; the step that made it so has been taken, none after it.
    """
    model.train()
    sums = _Sums()
    step = step or training_step(model, loss_function, optimizer)
    for inputs, labels in batches:
        loss, scores = step(inputs, labels)
        number = loss.item()
        if not math.isfinite(number):
            raise DivergedError(
                f"the loss is {number}. Try a smaller learning rate, look for NaN in the data, clip gradients; "
                "`with chainrule.autograd.detect_anomaly():` names the first operation that made it."
            )
        means = sums.add(number, scores, labels)
        if progress is not None:
            progress(len(labels), means)
    return sums.means()


def evaluate(model: Module, batches: Any, loss_function: Loss, step: Step | None = None) -> Scores:
    """Loss and accuracy over all batches, exactly, in evaluation mode and without recording.

    Exactly: a smaller last batch counts for as many samples as it has. The arguments are those of `train_epoch`; `step`
    may be `evaluation_step` compiled. Every module is put back into the mode it was in.
    """
    sums = _Sums()
    step = step or evaluation_step(model, loss_function)
    with evaluation_mode(model), no_grad():
        for inputs, labels in batches:
            loss, scores = step(inputs, labels)
            sums.add(loss.item(), scores, labels)
    return sums.means()


@contextmanager
def evaluation_mode(model: Module) -> Iterator[None]:
    """Within this block the model is in evaluation mode; then every module is put back into the mode it was in.

    >>> import chainrule
    >>> model = chainrule.nn.Dropout()
    >>> with evaluation_mode(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
