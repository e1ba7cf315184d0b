"""Whether a model can learn one batch by heart: the first thing to try when nothing is learned."""

from __future__ import annotations

from typing import Any

from chainrule import optim
from chainrule.autodiff.mode import enable_grad
from chainrule.nn.module import Module
from chainrule.train.doctor.case import Case
from chainrule.train.doctor.chance import constant_loss
from chainrule.train.doctor.conditions.labels import Unlearnable
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.seen import Seen
from chainrule.train.doctor.untouched import tensor_like, twin, untouched


def overfit_one_batch(
    model: Module, loss_function: Any, inputs: Any, targets: Any, steps: int = 200, learning_rate: float = 1e-2
) -> Finding | None:
    """Train a copy of the model on one batch alone, by Adam; None if it learns it, else a finding.

    A sound model brings the loss below a tenth of what knowing nothing costs (the entropy of the batch's labels, the
    variance of its targets; for other losses, of the first loss). It fails where equal inputs have different targets,
    where nothing of the input reaches the output, or where loss and output do not fit. Layers that draw at random
    (dropout) are in evaluation mode. The model itself does not change.

    >>> import chainrule
    >>> x, y = chainrule.randn(8, 4), chainrule.tensor([0, 1] * 4)
    >>> model = chainrule.nn.Sequential(chainrule.nn.Linear(4, 32), chainrule.nn.ReLU(), chainrule.nn.Linear(32, 2))
    >>> overfit_one_batch(model, chainrule.nn.CrossEntropyLoss(), x, y) is None
    True
    >>> overfit_one_batch(model, chainrule.nn.CrossEntropyLoss(), chainrule.ones(8, 4), y).condition
    'unlearnable targets'
    """
    seen = Seen()
    seen.add(inputs, targets)
    with untouched(model, loss_function), enable_grad():
        copy, loss_function = twin(model, loss_function)
        for module in copy.modules():
            module.training = not module.differs_in_training or "Norm" in type(module).__name__
        inputs, targets = tensor_like(inputs), tensor_like(targets)
        optimizer = optim.Adam(copy.parameters(), lr=learning_rate)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_function(copy(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.item()))
            optimizer.param_groups[0]["lr"] *= 1 - 1 / steps
    constant = constant_loss(loss_function, seen)
    scale = constant if constant > 0 else losses[0]
    if losses[-1] < 0.1 * scale or losses[-1] < 1e-6:
        return None
    evidence = (
        f"{steps} steps on one batch of {seen.count} samples took the loss from {losses[0]:.3g} to {losses[-1]:.3g}; "
    )
    return Unlearnable().found(Case(), evidence + f"a tenth of {scale:.3g} is what a sound model comes below.")
