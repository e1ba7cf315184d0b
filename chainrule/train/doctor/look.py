"""A close look at one batch: forward and backward of a copy of the model, with an eye on every layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.autograd.gradient import grad
from chainrule.nn.module import Module
from chainrule.state import current_state
from chainrule.tensor import Tensor
from chainrule.train.doctor.chance import chance_loss
from chainrule.train.doctor.seen import Array, arrays_in
from chainrule.train.doctor.untouched import tensor_like, twin, untouched

#: Where sigmoid and tanh end to be sensitive: chapters I II.2.b and II.2.c.
RANGES = {"sigmoid": 3.5, "tanh": 2.0}
#: So many entries of each parameter stand for all of it where two moments are compared.
SKETCHED = 4096


@dataclass
class Layer:
    """A layer with a weight matrix or kernels: the size (root mean square) of its weight and of the gradient."""

    path: str
    weight: float
    gradient: float
    fan_in: int

    @property
    def relative(self) -> float:
        """The gradient's size relative to the weight's, or to what a usual first weight would be, if that is more."""
        return self.gradient / max(self.weight, 0.1 / math.sqrt(self.fan_in))


@dataclass
class Look:
    """What was seen.

    Attributes:
        inputs: what the model got, after augmentation.
        output: what it gave.
        loss: NaN without a loss function.
        chance: the loss of a model that knows nothing; NaN where that is not defined.
        layers: those with weight matrices or kernels, in the order in which they ran.
        normalised_first: whether the first layer to run normalises its inputs.
        fired: for each ReLU, which of its units were above zero for any sample.
        saturated: for each sigmoid and tanh, which share of entries lay beyond its sensitive range.
        unfinished: parameters whose gradient has entries that are not finite.
        gradients: a sketch of the gradient of each parameter.
        held: a sketch of what stood in `.grad` in a loop of one's own, and `held_before` at the batch before.
    """

    inputs: list[Array]
    output: Any = None
    loss: float = math.nan
    chance: float = math.nan
    layers: list[Layer] = field(default_factory=list)
    normalised_first: bool = False
    fired: dict[str, Array] = field(default_factory=dict)
    saturated: dict[str, float] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    gradients: dict[str, Array] = field(default_factory=dict)
    held: dict[str, Array] = field(default_factory=dict)
    held_before: dict[str, Array] = field(default_factory=dict)


def look_at(
    model: Module, loss_function: Any, inputs: Any, targets: Any, transform: Any = None, *, in_float32: bool = False
) -> Look:
    """Run a copy of the model on a batch and note what happens; nothing of the original changes.

    in_float32: the copy computes in float32, for a model that its trainer keeps in bfloat16.

    >>> import chainrule
    >>> model = chainrule.nn.Sequential(chainrule.nn.Linear(2, 3), chainrule.nn.ReLU())
    >>> look = look_at(model, chainrule.nn.MSELoss(), chainrule.ones(4, 2), chainrule.zeros(4, 3))
    >>> [layer.path for layer in look.layers], look.fired["1"].shape
    (['0.weight'], (3,))
    """
    with untouched(model, loss_function, transform), enable_grad():
        model, loss_function, transform = twin(model, loss_function, transform)
        model = model.float() if in_float32 else model
        inputs, targets = tensor_like(inputs), tensor_like(targets)
        if transform is not None:
            inputs = transform(inputs)
        look = Look(list(arrays_in(inputs)))
        order: list[str] = []
        for path, module in model.named_modules():
            module.register_forward_pre_hook(lambda _, __, path=path: order.append(path))
        with _watching(look):
            output = model(inputs)
        look.output = tensor_like(output)
        look.normalised_first = _first_normalises(model, order)
        if loss_function is not None:
            _look_back(look, model, loss_function(output, targets), list(dict.fromkeys(order)))
            if isinstance(output, Tensor):
                look.chance = chance_loss(loss_function, output.detach(), targets)
    return look


def loss_in_evaluation(
    model: Module, loss_function: Any, batches: list[tuple[Any, Any]], *, in_float32: bool = False
) -> float:
    """The mean loss over batches in evaluation mode; nothing changes. in_float32: see `look_at`."""
    with untouched(model, loss_function), no_grad():
        model, loss_function = twin(model, loss_function)
        model = model.float() if in_float32 else model
        model.eval()
        losses = [(float(loss_function(model(x), y).item()), len(y)) for x, y in batches]
    return sum(loss * size for loss, size in losses) / max(sum(size for _, size in losses), 1)


def sketch(tensor: Tensor) -> Array:
    """The first entries, copied."""
    return np.array(tensor.detach().read().reshape(-1)[:SKETCHED], float)


def _look_back(look: Look, model: Module, loss: Tensor, order: list[str]) -> None:
    """The backward pass, for all parameters that want gradients."""
    look.loss = float(loss.item())
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named or not loss.requires_grad:
        return
    found = grad(loss, [p for _, p in named], allow_unused=True)
    gradients = {name: g for (name, _), g in zip(named, found, strict=True) if g is not None}
    look.unfinished = [n for n, g in gradients.items() if not np.isfinite(g.detach().read()).all()]
    look.gradients = {name: sketch(g) for name, g in gradients.items()}
    for path in order:
        for layer in weights_of(model.get_submodule(path)):
            name = f"{path}.{layer}" if path else layer
            if name in gradients:
                weight = model.get_parameter(name).detach().read()
                size = math.prod(weight.shape[1:])
                look.layers.append(Layer(name, _size(weight), _size(gradients[name].detach().read()), size))


def weights_of(module: Module) -> list[str]:
    """The names of a module's own weight matrices and kernels; embeddings and normalisations have none."""
    if isinstance(module, nn.Embedding):
        return []
    return [name for name, p in module._parameters.items() if p is not None and p.ndim >= 2 and "weight" in name]


def _size(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array, dtype=float)))) if array.size else 0.0


def _first_normalises(model: Module, order: list[str]) -> bool:
    for path in order:
        module = model.get_submodule(path)
        if not list(module.children()) and not isinstance(module, nn.Flatten | nn.Identity):
            return "Norm" in type(module).__name__
    return False


@contextmanager
def _watching(look: Look) -> Iterator[None]:
    """Note what every ReLU, sigmoid and tanh makes, whether it is a module or a function."""
    state = current_state()
    before = state.observer

    def watch(primitive: Any, inputs: list[Any], result: Any) -> None:
        path, _, block = state.path.partition("/")
        if block == "relu" and primitive.name == "Maximum":
            look.fired[_free(look.fired, path)] = _units_above_zero(result)
        elif block == "sigmoid" and primitive.name == "Divide":
            _note_saturation(look, path, np.abs(result - 0.5) > 1 / (1 + math.exp(-RANGES["sigmoid"])) - 0.5)
        elif not block and primitive.name == "Tanh":
            _note_saturation(look, path, np.abs(result) > math.tanh(RANGES["tanh"]))

    state.observer = watch
    try:
        yield
    finally:
        state.observer = before


def _note_saturation(look: Look, path: str, beyond: Array) -> None:
    if beyond.size:
        look.saturated[_free(look.saturated, path)] = float(beyond.mean())


def _free(table: dict[str, Any], path: str) -> str:
    """The path; its second call in one pass is "path (2)", and so on."""
    number = 2
    name = path
    while name in table:
        name, number = f"{path} ({number})", number + 1
    return name


def _units_above_zero(output: Array) -> Array:
    """For each unit (N, units), channel (N, C, H, W) or feature (N, T, features): whether it ever is above zero."""
    unit = 2 if output.ndim == 3 else min(1, output.ndim - 1)
    return np.any(output > 0, axis=tuple(d for d in range(output.ndim) if d != unit))
