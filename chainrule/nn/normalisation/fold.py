"""Every batch norm of a model folded into the layer before it, for evaluation."""

from __future__ import annotations

import copy
import itertools
from typing import Any, TypeVar

from chainrule.autodiff.mode import no_grad
from chainrule.nn.container import Sequential
from chainrule.nn.convolution.layers import Conv1d, Conv2d, Conv3d
from chainrule.nn.convolution.transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from chainrule.nn.linear import Identity, Linear
from chainrule.nn.module import Module
from chainrule.nn.normalisation.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d
from chainrule.nn.normalisation.synchronised import SyncBatchNorm
from chainrule.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from chainrule.primitives.value import Symbol
from chainrule.tensor import Tensor, tensors_in

M = TypeVar("M", bound=Module)

_TRANSPOSED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
_AFFINE = (Linear, Conv1d, Conv2d, Conv3d, *_TRANSPOSED)
_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm)


def fold_batch_norm(model: M, *example: Any) -> M:
    """A copy of a model for evaluation in which batch norms are folded into the layers before them.

    A batch norm directly behind a linear or convolutional layer becomes part of its weight and bias, and an `Identity`
    takes its place: the same outputs to rounding, with fewer passes over memory. Those inside of `Sequential` are found
    by themselves. For any other model give an example of its inputs: it is run once, without computing, to see which
    layer feeds which batch norm, and nothing else.

    Raises ValueError if the model is in training mode. Source: E 4.5.2.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    >>> fold_batch_norm(model)
    Sequential(
      (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    """
    if any(module.training for module in model.modules()):
        raise ValueError("batch norm can be folded in evaluation only, where it does not depend on the batch: eval().")
    folded = copy.deepcopy(model)
    pairs = _seen_in_use(folded, example) if example else _side_by_side(folded)
    paths = {id(module): path for path, module in folded.named_modules()}
    for layer, bn in pairs:
        if isinstance(layer, Linear):
            fused = fuse_linear_bn_eval(layer, bn)
        else:
            fused = fuse_conv_bn_eval(layer, bn, transpose=isinstance(layer, _TRANSPOSED))
        layer.weight, layer.bias = fused.weight, fused.bias
        folded.set_submodule(paths[id(bn)], Identity().eval())
    return folded


def _foldable(layer: Any, bn: Any) -> bool:
    if not isinstance(layer, _AFFINE) or not isinstance(bn, _NORMS) or bn.running_mean is None:
        return False
    outputs = layer.out_features if isinstance(layer, Linear) else layer.out_channels
    return bool(outputs == bn.num_features)


def _side_by_side(model: Module) -> list[tuple[Any, Any]]:
    """Neighbours in a Sequential. A module that stands in several places is left alone."""
    places: dict[int, int] = {}
    for parent in model.modules():
        for _, child in parent._occupied():
            places[id(child)] = places.get(id(child), 0) + 1
    pairs = []
    for parent in model.modules():
        if isinstance(parent, Sequential):
            layers = list(parent)
            pairs += [
                pair
                for pair in itertools.pairwise(layers)
                if _foldable(*pair) and all(places[id(m)] == 1 for m in pair)
            ]
    return pairs


def _seen_in_use(model: Module, example: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """Pairs in which the batch norm reads what the layer made, nothing else does, and both run once."""
    made: dict[Any, list[Any]] = {}
    read: list[tuple[Any, Any]] = []
    runs: dict[int, int] = {}

    def look(module: Any, args: Any, output: Any) -> None:
        runs[id(module)] = runs.get(id(module), 0) + 1
        if isinstance(module, _AFFINE):
            made.setdefault(output.value.array, []).append(module)
        elif isinstance(module, _NORMS):
            read.append((args[0].value.array, module))

    handles = [module.register_forward_hook(look) for module in model.modules()]
    trace = Trace()
    try:
        with no_grad(), tracing(trace):
            output = model(*[_as_symbol(trace, x) for x in example])
    finally:
        for handle in handles:
            handle.remove()
        trace.take_back_writes()
    uses: dict[Any, int] = {}
    for equation in trace.equations:
        for x in equation.inputs:
            if isinstance(x, Symbol):
                uses[x] = uses.get(x, 0) + 1
    results = {t.value.array for t in tensors_in(output) if isinstance(t.value.array, Symbol)}
    return [
        (made[x][0], bn)
        for x, bn in read
        if len(made.get(x, [])) == 1
        and uses.get(x) == 1
        and x not in results
        and runs[id(made[x][0])] == runs[id(bn)] == 1
        and _foldable(made[x][0], bn)
    ]


def _as_symbol(trace: Trace, x: Any) -> Any:
    """A tensor of the example as an input of the trace."""
    if not isinstance(x, Tensor):
        return x
    return Primitive.make_tensor(trace.new_input(tuple(x.shape), x.value.array.dtype, False))
