"""What can be wrong before the first step: the first weights, and the first loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chainrule.nn.module import Module
from chainrule.tensor import Tensor
from chainrule.train.doctor.case import Case
from chainrule.train.doctor.chance import kind_of
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.look import Look, weights_of
from chainrule.train.doctor.rule import Rule
from chainrule.train.doctor.seen import Array


def _weights(model: Module) -> Iterator[tuple[str, Array]]:
    """The weight matrices and kernels that learn and have several rows."""
    for path, module in model.named_modules():
        for name in weights_of(module):
            weight = module._parameters[name]
            if weight is not None and weight.requires_grad and weight.numel() > 1:
                yield (f"{path}.{name}" if path else name), weight.detach().read()


class EqualWeights(Rule):
    """All entries of a weight matrix are the same number."""

    condition = "all-equal initial weights"
    severity = "fault"
    shows = "Every entry of a weight matrix with several units is one and the same number, other than 0, at the start."
    cause = (
        "The weights were filled with a constant. Units that begin equal compute the same, get the same gradients and "
        "stay equal: the layer counts as one unit, however wide it is (nothing breaks the symmetry)."
    )
    remedies = (
        "draw the weights at random: the layers' own initialisation, or nn.init.kaiming_normal_ before ReLU and "
        "nn.init.xavier_normal_ before tanh and sigmoid",
        "only biases may begin at one number",
    )
    source = "I IV.2.g, IV.5 6b"

    def at_start(self, case: Case) -> Finding | None:
        """Look at every weight matrix."""
        paths = {
            name: float(weight.flat[0])
            for name, weight in _weights(case.model)
            if weight.shape[0] > 1 and weight.flat[0] != 0 and (weight == weight.flat[0]).all()
        }
        if not paths:
            return None
        values = ", ".join(f"{name} = {value:g}" for name, value in paths.items())
        return self.found(case, f"every entry is the same: {values}.", tuple(paths))


class ZeroWeights(Rule):
    """Two layers or more begin at zero."""

    condition = "zero initial weights"
    severity = "fault"
    shows = "Two weight matrices or more are zero throughout at the start. (One alone is a usual and sound beginning.)"
    cause = (
        "The weights were filled with 0. The gradient of a layer's weights is a product of what comes in from below "
        "and of the weights above: with both zero nothing moves, or only the last bias."
    )
    remedies = (
        "draw the weights at random: the layers' own initialisation, or nn.init.kaiming_normal_ or xavier_normal_",
        "only biases, and the last layer of a residual branch, may begin at 0",
    )
    source = "I IV.2.g"

    def at_start(self, case: Case) -> Finding | None:
        """Look at every weight matrix."""
        weights = dict(_weights(case.model))
        paths = tuple(name for name, weight in weights.items() if not weight.any())
        if len(paths) < 2:
            return None
        return self.found(case, f"{len(paths)} of {len(weights)} weight matrices are zero.", paths)


class LeftOut(Rule):
    """The optimiser does not hold all parameters."""

    condition = "parameters left out"
    severity = "note"
    shows = "A parameter that wants gradients is in no group of the optimiser at the start."
    cause = (
        "The optimiser was made from other parameters: from a part of the model, or before a layer was added or "
        "replaced. What it does not hold never changes, though its gradient is computed in every step."
    )
    remedies = (
        "make the optimiser from model.parameters() when the model is complete",
        "freeze what is not to learn, by parameter.requires_grad_(False): that saves its gradient",
    )
    source = "E 3.6 (the optimiser's parameters), I IV.3 (fine-tuning)"

    def at_start(self, case: Case) -> Finding | None:
        """Compare the model's parameters with the optimiser's."""
        left = case.left_out()
        if not left:
            return None
        count = len(list(case.model.parameters()))
        return self.found(case, f"the optimiser does not hold {len(left)} of {count} parameters.", left)


class InitialLoss(Rule):
    """The first loss is far above that of guessing."""

    condition = "wrong initial loss"
    times = 1.5
    shows = (
        f"The loss of the first batch, before any step, is more than {times} times that of a model that finds "
        "all classes equally likely: −ln(1/C) for cross-entropy over C classes (2.30 for 10), ln 2 = 0.69 for binary."
    )
    cause = (
        "A new model should know nothing, and be unsure. This one is sure of something wrong: its first outputs are "
        "large (weights drawn too wide, inputs not normalised), or the output is not what the loss expects."
    )
    remedies = (
        "normalise the inputs",
        "draw the last layer's weights smaller, or begin it at 0",
        "give the loss scores, not probabilities (CrossEntropyLoss, BCEWithLogitsLoss), or log-probabilities (NLLLoss)",
    )
    source = "I II.7 3g (−log(1/C))"

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Compare the very first loss with that of knowing nothing."""
        if not math.isfinite(case.first_loss) or case.epoch > 1 or self.memory.get("asked"):
            return None
        self.memory["asked"] = True
        factor = case.first_loss / look.chance if look.chance > 0 else math.nan
        if not factor > self.times:
            return None
        kind = kind_of(case.loss_function)
        many = kind in ("classes", "log-probabilities") and look.output is not None
        formula = f"−ln(1/{look.output.shape[1]}) = " if many else "ln 2 = "
        if getattr(case.loss_function, "reduction", "mean") == "sum":
            formula = "summed over the batch "
        return self.found(
            case,
            f"the first loss is {case.first_loss:.3g}; of a model that knows nothing it is {formula}{look.chance:.3g}.",
        )


class SummedLoss(Rule):
    """The loss grows with the batch."""

    condition = "summed loss"
    severity = "note"
    shows = 'The loss function was made with reduction="sum".'
    cause = (
        "The loss is the sum over the batch and not its mean, so gradients grow with the batch size, a smaller last "
        "batch takes smaller steps, and losses of different batch sizes cannot be compared."
    )
    remedies = ('use reduction="mean", and a learning rate larger by the batch size',)
    source = "I II.3 (we always divide by N)"

    def at_start(self, case: Case) -> Finding | None:
        """Read the setting."""
        if getattr(case.loss_function, "reduction", "mean") != "sum":
            return None
        return self.found(case, f'{type(case.loss_function).__name__} has reduction="sum".')


class ProbabilitiesAsScores(Rule):
    """The output has been through softmax before a loss that does so itself."""

    condition = "output does not fit the loss"
    severity = "fault"
    shows = (
        "For CrossEntropyLoss the outputs are probabilities already (not negative, summing to 1); for "
        "BCEWithLogitsLoss they come out of a sigmoid; for NLLLoss they are no log-probabilities. Twice in a row."
    )
    cause = (
        "The model ends in softmax or sigmoid, and the loss applies it again (or, for NLLLoss, nobody does). Twice "
        "flattened, the gradients are small and the loss cannot come near 0."
    )
    remedies = (
        "let the model end in its last linear layer, and give CrossEntropyLoss or BCEWithLogitsLoss its scores",
        "or end it in nn.LogSoftmax with NLLLoss, in nn.Sigmoid with BCELoss",
    )
    source = "I II.3; E 2.6, 3.6"

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Look at the outputs of the batch."""
        output = look.output.read() if isinstance(look.output, Tensor) else None
        kind = kind_of(case.loss_function)
        if output is None or not output.size or not np.isfinite(output).all():
            return None
        if kind in ("classes", "log-probabilities") and (output.ndim < 2 or output.shape[1] < 2):
            return None
        evidence = ""
        if kind == "classes" and (output >= 0).all() and np.allclose(output.sum(axis=1), 1, atol=1e-4):
            evidence = (
                "the outputs given to the cross-entropy are not negative and sum to 1: probabilities, not scores."
            )
        elif kind == "log-probabilities" and not np.allclose(np.exp(np.minimum(output, 50)).sum(axis=1), 1, atol=1e-3):
            total = float(np.exp(np.minimum(output, 50)).sum(axis=1).mean())
            evidence = f"the outputs given to NLLLoss are no log-probabilities: their exponentials sum to {total:.3g}."
        elif kind == "logits" and _last_is_sigmoid(case.model):
            evidence = f"the outputs given to the loss of logits lie in [{output.min():.3g}, {output.max():.3g}], "
            evidence += "after a sigmoid."
        return self.found(case, evidence) if self.twice("seen", bool(evidence)) else None


def _last_is_sigmoid(model: Module) -> bool:
    modules = [module for module in model.modules() if not list(module.children())]
    return bool(modules) and type(modules[-1]).__name__ == "Sigmoid"
