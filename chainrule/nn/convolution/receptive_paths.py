"""Receptive fields of networks with branches: the network is run once, and the tape says what led where."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from chainrule.autodiff.mode import enable_grad
from chainrule.errors import ChainruleError, ShapeError
from chainrule.functions.creation import zeros
from chainrule.nn.convolution.field import ReceptiveField, after, sees_all
from chainrule.nn.convolution.layers import ConvolutionBase
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.tape import Node, Record
from chainrule.tensor import Tensor

#: Sides of the image that are tried, after the network's own `image_size` if it has one.
_SIDES = (64, 32, 28, 224)
#: Operations that see several pixels. Within a module it is the module that is asked.
_WINDOWS = {"Convolution", "ConvolutionTranspose", "MaxPool", "Windows", "WindowSum", "Fold"}


class _Seen(NamedTuple):
    """What an entry of a tensor sees, and the extents over which its entries lie."""

    field: ReceptiveField
    extents: tuple[int, ...]


class _AllIsSeen(Exception):  # noqa: N818  # no error: there is nothing more to find out
    """A layer that sees all of its input was reached."""


def fields_of_paths(model: Module) -> list[ReceptiveField]:
    """See `receptive_field`: the field behind each module without parts, in the order in which they run."""
    first = next((layer for layer in model.modules() if isinstance(layer, ConvolutionBase)), None)
    if first is None:
        raise ShapeError(f"receptive_field: {type(model).__name__} has no convolution; give (kernel, stride) pairs.")
    own = getattr(model, "image_size", None)
    problem: Exception | None = None
    for side in (*([own] if isinstance(own, int) else []), *_SIDES):
        walk = _Walk(model)
        try:
            return walk.run(zeros(1, first.in_channels, *[side] * first.dimensions))
        except _NotFollowed as error:
            raise ShapeError(f"receptive_field: {error}") from None
        except ChainruleError as error:
            problem = error
    raise ShapeError(
        f"receptive_field: {type(model).__name__} takes no image of {_SIDES} pixels a side ({problem}); give (kernel, "
        "stride) pairs."
    )


class _NotFollowed(Exception):  # noqa: N818  # becomes a ShapeError
    """What this cannot follow."""


class TapeOfFields:
    """What is known of each tensor on the tape of one run of a model: arrays or symbols, it makes no difference."""

    def __init__(self) -> None:
        self.known: dict[int, _Seen | None] = {}
        self.nodes: list[Node] = []  # held, so that no identity is given out again

    def start(self, image: Tensor) -> None:
        """The image (N, C, *size) is what is seen. It must require a gradient."""
        self._note(image, ReceptiveField(1, 1))

    def behind(self, layer: Module, inputs: Any, output: Any) -> ReceptiveField | None:
        """The field of a module without parts that has just run; None if the image did not lead to it.

        Raises ShapeError where something on the way is not followed.
        """
        tensors = [tensor for tensor in inputs if isinstance(tensor, Tensor)]
        seen = self._of(tensors[0]) if tensors else None
        if seen is None or not isinstance(output, Tensor):
            return None
        field = after(layer, seen.field)
        self._note(output, field)
        return field

    def _note(self, tensor: Tensor, field: ReceptiveField) -> None:
        source = tensor.value.source
        if source is not None:
            self.known[id(source[0])] = _Seen(field, tuple(tensor.shape[2:]))
            self.nodes.append(source[0])

    def _of(self, tensor: Tensor) -> _Seen | None:
        """What a tensor's entries see: the most of all that led to it. None for what does not come from the image."""
        source = tensor.value.source
        if source is None:
            return None
        waiting = [source[0]]
        while waiting:
            node = waiting[-1]
            sources = [s[0] for s in node.sources if s is not None] if isinstance(node, Record) else []
            unknown = [other for other in sources if id(other) not in self.known]
            if id(node) in self.known or not unknown:
                waiting.pop()
                if id(node) not in self.known:
                    self.known[id(node)] = self._join(node, [self.known[id(other)] for other in sources])
                    self.nodes.append(node)
            else:
                waiting += unknown
        return self.known[id(source[0])]

    def _join(self, node: Node, found: list[_Seen | None]) -> _Seen | None:
        seen = [one for one in found if one is not None]
        if not seen or not isinstance(node, Record):
            return None
        if node.operation.name in _WINDOWS:
            raise ShapeError(
                f"receptive_field: {node.operation.name} outside of a module is not followed; give (kernel, "
                "stride) pairs."
            )
        largest = max(seen, key=lambda one: one.field.size)
        extents = tuple(node.forms[0][0][2:])
        if extents == largest.extents:
            return largest
        return _Seen(ReceptiveField(math.inf, largest.field.jump), extents)  # reshaped, or summed over


class _Walk(TapeOfFields):
    """One run of a model."""

    def __init__(self, model: Module) -> None:
        super().__init__()
        self.model = model
        self.fields: list[ReceptiveField] = []
        self.visited: list[Module] = []

    def run(self, image: Tensor) -> list[ReceptiveField]:
        """The fields of all layers, those behind a layer that sees everything included."""
        leaves = [layer for layer in self.model.modules() if not list(layer.children())]
        handles = [layer.register_forward_pre_hook(self._before) for layer in leaves]
        handles += [layer.register_forward_hook(self._after) for layer in leaves]
        try:
            with evaluation_mode(self.model), enable_grad():
                self.start(image.requires_grad_())
                self.model(image)
        except _AllIsSeen:
            pass
        finally:
            for handle in handles:
                handle.remove()
        seen = {id(layer) for layer in self.visited}
        jump = self.fields[-1].jump if self.fields else 1
        return self.fields + [ReceptiveField(math.inf, jump) for layer in leaves if id(layer) not in seen]

    def _before(self, layer: Module, inputs: Any) -> None:
        if sees_all(layer) and isinstance(inputs[0], Tensor) and layer.__class__.__name__ in ("Linear", "Flatten"):
            raise _AllIsSeen

    def _after(self, layer: Module, inputs: Any, output: Any) -> None:
        try:
            field = self.behind(layer, inputs, output)
        except ShapeError as error:
            raise _NotFollowed(str(error).removeprefix("receptive_field: ")) from None
        if field is not None:
            self.fields.append(field)
            self.visited.append(layer)
