"""What is forgotten in loops of one's own: `eval()`, `train()`, `zero_grad()`."""

from __future__ import annotations

import numpy as np

from chainrule.train.doctor.case import Case
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.look import Look
from chainrule.train.doctor.rule import Rule
from chainrule.train.doctor.seen import Array


class ForgottenEval(Rule):
    """The model is evaluated in training mode."""

    condition = "forgotten eval()"
    severity = "fault"
    shows = (
        "The model is used with gradients off, or for validation, while it is in training mode and has layers that do "
        "something else there (dropout, batch normalisation)."
    )
    cause = (
        "Nobody called model.eval(). Dropout then drops units in evaluation, batch normalisation uses the batch's "
        "statistics and lets validation data into its running ones."
    )
    remedies = (
        "call model.eval() before evaluating, and model.train() before the next epoch",
        "use chainrule.train.evaluation_mode(model), or Trainer.evaluate, which do both",
    )
    source = "E 4.5.4 (a very common source of bugs), 4.5.2"

    def in_evaluation(self, case: Case, training: list[str]) -> Finding | None:
        """`training`: the layers that differ in training and are in training mode, in an evaluation."""
        if not training:
            return None
        return self.found(case, f"evaluated with {len(training)} such layers in training mode.", tuple(training))


class ForgottenTrain(Rule):
    """The model is trained in evaluation mode."""

    condition = "forgotten train()"
    shows = "A batch is learned from while the model, which has dropout or batch normalisation, is in evaluation mode."
    cause = (
        "Nobody called model.train() after an evaluation. Dropout drops nothing, and batch normalisation keeps the "
        "running statistics of before."
    )
    remedies = ("call model.train() at the beginning of every epoch",)
    source = "E 4.5.4, 4.5.2"

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Ask the model for its mode."""
        if case.model.training:
            return None
        paths = tuple(path for path, module in case.model.named_modules() if module.differs_in_training)
        return self.found(case, f"batch {case.step} was learned from in evaluation mode.", paths) if paths else None


class ForgottenZeroGrad(Rule):
    """Gradients of earlier batches are still there."""

    condition = "forgotten zero_grad()"
    severity = "fault"
    nearer = 0.3
    shows = (
        "In a loop of one's own, after a step has been taken, the gradients that are held are those of this batch plus "
        f"those that were held before: the distance to that sum is less than {nearer} of that to this batch's own; in "
        "two looks in a row."
    )
    cause = (
        "What backward() computes is added to .grad, and nobody cleared it. Every step goes along the sum of all "
        "gradients since the beginning, so steps grow, and old directions never fade."
    )
    remedies = (
        "call optimizer.zero_grad() once for every step, before backward()",
        "to accumulate on purpose, clear after each step",
    )
    source = "E 3.6, I IV.1.a (the training loop)"

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Compare what is held with the gradient of this batch alone, and with the sum."""
        usual = look.held.keys() & look.gradients.keys() & look.held_before.keys() - set(case.left_out())
        names = [name for name in look.held if name in usual]
        if not names:
            return None
        held, alone, before = (_joined(part, names) for part in (look.held, look.gradients, look.held_before))
        as_alone, as_sum = float(np.linalg.norm(held - alone)), float(np.linalg.norm(held - before - alone))
        if not self.twice("seen", as_sum < self.nearer * as_alone):
            return None
        ratio = np.linalg.norm(held) / max(float(np.linalg.norm(alone)), 1e-30)
        return self.found(
            case,
            f"at batch {case.step} the gradients held are {ratio:.3g} times as long as this batch's own; they differ "
            f"from it by {as_alone:.2g}, from its sum with those held before by {as_sum:.2g}.",
            tuple(names),
        )


def _joined(parts: dict[str, Array], names: list[str]) -> Array:
    return np.concatenate([parts[name] for name in names])
