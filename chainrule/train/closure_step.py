"""A trainer's step for optimisers that compute the loss several times in one: L-BFGS, Newton, perturbed descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.autodiff.mode import no_grad
from chainrule.nn.utils import get_total_norm
from chainrule.tensor import Tensor
from chainrule.train.divergence import has_diverged

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


def check_closure_settings(trainer: Trainer) -> None:
    """Raise ValueError for settings of a trainer that make no sense where the optimiser asks for the loss itself."""
    wrong = [
        name
        for name, given in (
            ("clip_norm", trainer.clip_norm is not None), ("clip_value", trainer.clip_value is not None),
            ("accumulate", trainer.accumulate != 1), ("precision", trainer.halves is not None),
        )
        if given
    ]  # fmt: skip
    if wrong:
        raise ValueError(
            f"{type(trainer.optimizer).__name__} computes loss and gradients itself, several times in a step: "
            f"{', '.join(wrong)} cannot be set with it."
        )


def closure_step(trainer: Trainer, inputs: Any, targets: Any, last: bool, inside: bool) -> Any:
    """One step on one batch, not compiled: the optimiser decides by the numbers how often the loss is computed.

    The answer is the loss, the output and (where it is measured and there are gradients) the gradient's norm, all of
    before the step; and None, since inside of such a step nothing is measured. With a loss or a norm that is not finite
    the weights stay what they are.
    """
    optimizer = trainer.optimizer
    first: dict[str, Any] = {}  # what the first computation of the loss gave
    inputs = inputs if trainer.transform is None else trainer.transform(inputs)  # drawn once: one loss for one step

    def closure() -> Tensor:
        optimizer.zero_grad()
        output = trainer._forward(inputs)
        loss = trainer.loss(output, targets)
        if optimizer.closure == "loss and gradients":
            loss.backward()
        if not first:
            norm = None
            if trainer.gradient_norm:
                gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
                norm = get_total_norm(gradients) if gradients else None
            first.update(
                loss=loss.detach(), output=output.detach() if isinstance(output, Tensor) else output, norm=norm
            )
        return loss

    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    with no_grad():
        before = [p.detach().clone() for p in parameters]
    optimizer.step(closure)
    if has_diverged(first["loss"], first["norm"]):
        with no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old)
    optimizer.zero_grad()
    return first["loss"], first["output"], first["norm"], None
