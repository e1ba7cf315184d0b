"""What can go wrong with gradients on their way back: they vanish, or explode."""

from __future__ import annotations

import numpy as np

from chainrule.train.doctor.case import FAR, Case
from chainrule.train.doctor.finding import Finding
from chainrule.train.doctor.look import Look
from chainrule.train.doctor.rule import Rule


class Vanishing(Rule):
    """The first layers get hardly any gradient."""

    condition = "vanishing gradients"
    fewest, factor = 4, 1000
    shows = (
        f"In a model of at least {fewest} layers, the gradient of a layer in the first third, relative to its weights, "
        f"is less than 1/{factor} of the median in the last third; in two looks in a row."
    )
    cause = (
        "On the way back the gradient is multiplied, layer after layer, by derivatives below 1 (σ′ is at most 1/4) and "
        "by small weights, and shrinks exponentially: layers near the input hardly learn."
    )
    remedies = (
        "use ReLU or a relative of it instead of sigmoid and tanh",
        "normalise between layers (batch or layer normalisation)",
        "add skip connections",
        "initialise for the activation (Xavier for tanh and sigmoid, Kaiming for ReLU)",
        "clipping does not help: it only makes gradients smaller (ERRATA to II.2.e)",
    )
    source = "I II.2.e, IV.2.b"

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Compare the first third of the layers with the last."""
        layers = look.layers
        third = len(layers) // 3 or 1
        if len(layers) < self.fewest:
            return None
        last = float(np.median([layer.relative for layer in layers[-third:]]))
        first = min(layers[:third], key=lambda layer: layer.relative)
        if not self.twice("seen", bool(0 < first.relative * self.factor < last)):
            return None
        small = tuple(layer.path for layer in layers if layer.relative < 1e-2 * last)
        return self.found(
            case,
            f"in batch {case.step} the gradient of {first.path} is {first.relative:.2g} of its weights, of the last "
            f"layers {last:.2g}: a factor of {last / first.relative:.2g} over {len(layers)} layers.",
            small,
        )


class Exploding(Rule):
    """Gradients are huge, or grow on their way back."""

    condition = "exploding gradients"
    severity = "fault"
    large, fewest, factor = 100, 4, 1000
    shows = (
        "A gradient, or a parameter after a step, is NaN or infinite though the loss was finite and had not grown to "
        f"{FAR} times its size; or, in two looks in a row and without clipping, a layer's gradient is more than "
        f"{large} times as large as its weights, or (in a model of at least {fewest} layers) that of the first layers "
        f"more than {factor} times that of the last, relative to their weights."
    )
    cause = (
        "On the way back the gradient is multiplied again and again by factors above 1: weights drawn too large, "
        "activations that grow for want of normalisation, the same matrix in every time step of a recurrent network, "
        "or inputs or targets of a huge scale. Steps become too large, and training diverges."
    )
    remedies = (
        "clip gradients: Trainer(clip_norm=1.0), or nn.utils.clip_grad_norm_",
        "initialise for the activation (Kaiming, Xavier)",
        "normalise between layers; normalise inputs and targets",
        "a smaller learning rate; LSTM or GRU instead of a plain RNN",
    )
    source = "I IV.2.b, VI.1; II.7 3f"

    def at_batch(self, case: Case) -> Finding | None:
        """Where the step has been taken already: ask whether it broke the weights though the loss was sound."""
        return self._broken(case) if case.after_step and case.first_is_broken() else None

    def at_divergence(self, case: Case) -> Finding | None:
        """In a loop of one's own this batch's step has not been taken: broken weights are the work of the last."""
        return None if case.after_step else self._broken(case)

    def _broken(self, case: Case) -> Finding | None:
        broken = case.broken()
        if not broken or not case.losses or case.grew() or case.train.bad is not None:
            return None
        case.spoiled = True
        evidence = (
            f"the loss of batch {case.step} was {case.losses[-1]:.3g}, but its step made parameters NaN or infinite."
        )
        return self.found(case, evidence, broken)

    def at_look(self, case: Case, look: Look) -> Finding | None:
        """Look at every layer's gradient."""
        if look.unfinished and np.isfinite(look.loss):
            case.spoiled = True
            evidence = f"in batch {case.step} the loss is {look.loss:.3g}, but gradients are NaN or infinite."
            return self.found(case, evidence, tuple(look.unfinished))
        layers = look.layers
        if case.clipped or not layers:
            return None
        largest = max(layers, key=lambda layer: layer.relative)
        huge = largest.relative > self.large
        last = float(np.median([layer.relative for layer in layers[-(len(layers) // 3 or 1) :]]))
        grows = (
            len(layers) >= self.fewest
            and last > 0
            and max(layer.relative for layer in layers[: len(layers) // 3]) > self.factor * last
        )
        if not self.twice("seen", bool(huge or grows)):
            return None
        bound = self.large if huge else max(largest.relative / self.large, last)
        return self.found(
            case,
            f"in batch {case.step} the gradient of {largest.path} is {largest.relative:.3g} times as large as its "
            f"weights, that of the last layers {last:.3g} times.",
            tuple(layer.path for layer in layers if layer.relative > bound),
        )
