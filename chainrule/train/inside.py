"""What a training step is like inside: the signal's variance behind each layer, gradients, updates, units that are off.

All of it is computed within the step, from what the step computes anyway, so a compiled step does it in native code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.functions.activation import relu, sigmoid
from chainrule.nn.module import Module
from chainrule.primitives.elementwise import Tanh
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Value
from chainrule.tape import Record, nodes_behind
from chainrule.tensor import Tensor, tensors_in
from chainrule.train.doctor.look import RANGES

#: What the functions below read counts when they are compiled, as in a user's code.
__observed__ = True

#: Activations whose units can be off, as modules and as what functions are recorded as.
ACTIVATIONS = nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh
_FUNCTIONS = relu, sigmoid, Tanh

#: For each path what was measured there, by name; single numbers.
Inside = dict[str, dict[str, Tensor]]


class LayerOutputs:
    """The outputs of the layers in one forward pass, and what the backward pass sends back to them."""

    def __init__(self) -> None:
        self.layers: list[tuple[str, Module, Tensor]] = []
        self.gradients: dict[int, Tensor] = {}
        self.functions: list[tuple[str, Any, Tensor]] = []

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

    def note_functions(self, loss: Tensor) -> None:
        """The activations that modules call as functions (`functional.relu`), off the tape behind the loss.

        To be called before the backward pass, which frees the tape.
        """
        modules = {path for path, module, _ in self.layers if isinstance(module, ACTIVATIONS)}
        for record in nodes_behind([loss.value.source] if loss.value.source is not None else []):
            if not isinstance(record, Record) or record.operation not in _FUNCTIONS:
                continue
            path, _, block = record.path.partition("/")
            saved: Any = record.saved
            if block or path in modules or saved is None:
                continue
            kept = saved if type(saved) is dict else saved.unpacked()
            output = kept["output"][0] if type(kept["output"]) in (list, tuple) else kept["output"]
            self.functions.append((path, record.operation, Primitive.make_tensor(Value(output))))

    def numbers(self) -> Inside:
        """For each layer "variance" and "gradient variance"; of activations "dead" or "saturated", a share."""
        found: Inside = {}
        with no_grad():
            for place, (path, module, output) in enumerate(self.layers):
                row = found[path] = {"variance": _variance(output)}
                if place in self.gradients:
                    row["gradient variance"] = _variance(self.gradients[place])
                if isinstance(module, ACTIVATIONS):
                    row.update(_off(type(module), output))
            for path, function, output in self.functions:
                numbers = _off(function, output)
                if path in found and not set(numbers) & set(found[path]):
                    found[path].update(numbers)
                else:
                    found[_free(path, list(found))] = {"variance": _variance(output), **numbers}
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
    """Parameters and gradients before a step of the optimiser, to be compared with what they are after it.

    masters: what the optimiser works on in the place of parameters, by their names: it shows small steps.
    """

    def __init__(self, model: Module, masters: Mapping[str, Tensor] | None = None) -> None:
        self.before = []
        for name, parameter in model.named_parameters():
            gradient = parameter.grad
            if gradient is not None:
                held = (masters or {}).get(name, parameter)
                self.before.append((name, held, held.detach().clone(), gradient.detach().clone()))

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


def _off(activation: Any, output: Tensor) -> dict[str, Tensor]:
    """The share of an activation's units that are "dead", or of its entries that are "saturated"."""
    if activation in (nn.Sigmoid, sigmoid):
        return {"saturated": _share((output - 0.5).abs() > 1 / (1 + math.exp(-RANGES["sigmoid"])) - 0.5)}
    if activation in (nn.Tanh, Tanh):
        return {"saturated": _share(output.abs() > math.tanh(RANGES["tanh"]))}
    return {"dead": _share_of_dead(output)}


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
