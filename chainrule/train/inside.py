"""What a training step is like inside: the signal's variance behind each layer, gradients, updates, units that are off.

All of it is computed within the step, from what the step computes anyway, so a compiled step does it in native code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.nn.module import Module
from chainrule.tensor import Tensor, tensors_in
from chainrule.train.doctor.look import RANGES

#: What the functions below read counts when they are compiled, as in a user's code.
__observed__ = True

#: For each path what was measured there, by name; single numbers.
Inside = dict[str, dict[str, Tensor]]


class LayerOutputs:
    """The outputs of the layers in one forward pass, and what the backward pass sends back to them."""

    def __init__(self) -> None:
        self.layers: list[tuple[str, Module, Tensor]] = []
        self.gradients: dict[int, Tensor] = {}

    def note(self, path: str, module: Module, output: Any) -> None:
        """A layer has run. Of several results the first floating-point tensor counts."""
        first = next((t for t in tensors_in(output) if t.dtype.is_floating_point and t.numel() > 1), None)
        if first is None:
            return
        place = len(self.layers)
        self.layers.append((_free(path, [name for name, _, _ in self.layers]), module, first.detach_copy()))

        def keep(gradient: Tensor) -> None:
            self.gradients[place] = gradient.detach()

        if first.requires_grad:
            first.register_hook(keep)

    def numbers(self) -> Inside:
        """For each layer "variance" and "gradient variance"; of activations "dead" or "saturated", a share."""
        found: Inside = {}
        with no_grad():
            for place, (path, module, output) in enumerate(self.layers):
                row = found[path] = {"variance": _variance(output)}
                if place in self.gradients:
                    row["gradient variance"] = _variance(self.gradients[place])
                if isinstance(module, nn.ReLU | nn.ReLU6):
                    row["dead"] = _share_of_dead(output)
                elif isinstance(module, nn.Sigmoid):
                    row["saturated"] = _share((output - 0.5).abs() > 1 / (1 + math.exp(-RANGES["sigmoid"])) - 0.5)
                elif isinstance(module, nn.Tanh):
                    row["saturated"] = _share(output.abs() > math.tanh(RANGES["tanh"]))
        return found


@contextmanager
def layer_outputs(model: Module, wanted: bool = True) -> Iterator[LayerOutputs]:
    """Within this block every layer without parts notes its output; without `wanted` nothing is done."""
    outputs, handles = LayerOutputs(), []
    if wanted:
        for path, module in model.named_modules():
            if not list(module.children()):
                handles.append(module.register_forward_hook(lambda m, _, y, path=path: outputs.note(path, m, y)))
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


class ParameterSteps:
    """Parameters and gradients before a step of the optimiser, to be compared with what they are after it."""

    def __init__(self, model: Module) -> None:
        self.before = []
        for name, parameter in model.named_parameters():
            gradient = parameter.grad
            if gradient is not None:
                self.before.append((name, parameter, parameter.detach().clone(), gradient.detach().clone()))

    def numbers(self) -> Inside:
        """For each parameter the norms of "gradient" (before clipping), "weight" (before the step) and "update"."""
        found: Inside = {}
        with no_grad():
            for name, parameter, weight, gradient in self.before:
                change = parameter.detach() - weight
                norms = {"gradient": gradient, "weight": weight, "update": change}
                found[name] = {kind: value.float().norm() for kind, value in norms.items()}
        return found


def as_numbers(inside: Inside | None) -> dict[str, dict[str, float]] | None:
    """The same as numbers of Python."""
    if inside is None:
        return None
    return {path: {name: value.item() for name, value in row.items()} for path, row in inside.items()}


def _variance(x: Tensor) -> Tensor:
    return x.float().var(correction=0)


def _share(x: Tensor) -> Tensor:
    return x.float().mean()


def _share_of_dead(output: Tensor) -> Tensor:
    """Units (N, units), channels (N, C, …) or features (N, T, features) that are above zero for no sample."""
    unit = 2 if output.ndim == 3 else min(1, output.ndim - 1)
    others = [d for d in range(output.ndim) if d != unit]
    return _share((output.amax(others) if others else output) <= 0)


def _free(path: str, taken: list[str]) -> str:
    """The path; its second call in one pass is "path (2)", and so on."""
    number, name = 2, path
    while name in taken:
        name, number = f"{path} ({number})", number + 1
    return name
