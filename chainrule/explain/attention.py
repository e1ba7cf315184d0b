"""Attention maps: which token reads which, in every attention of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.explain.recording import Recording, recorded
from chainrule.figures import new_figure, write_figure
from chainrule.functions.creation import from_numpy
from chainrule.nn.attention.dot_product import attention_weights, causal_mask, forbid
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.primitives.attention import Attention, parts_of
from chainrule.primitives.value import Array
from chainrule.program.graph import Equation
from chainrule.tensor import Tensor


def attention_maps(model: Module, *inputs: Any, **settings: Any) -> dict[str, Tensor]:
    """The weights of every attention that a model computes for some inputs, in evaluation.

    They are found whatever module computes them: `nn.MultiheadAttention`, a Transformer's layers, decoders, a plain
    `scaled_dot_product_attention`. Each row of a map sums up to 1: what the query reads, by keys.

    Returns:
        For each path the weights, (N, heads, queries, keys); a second one under the same path is "path (2)". A model
        without attention gives none.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> maps = attention_maps(model, chainrule.randn(1, 5, 8))
    >>> {path: tuple(weights.shape) for path, weights in maps.items()}
    {'self_attn': (1, 2, 5, 5)}
    """
    recording = Recording()
    with evaluation_mode(model), no_grad(), recorded(recording):
        model(*inputs, **settings)
    written_out = {places[-1]: use for use, places in recording.parts().items() if use.name == "attention_weights"}
    found: dict[str, Tensor] = {}
    for number, equation in enumerate(recording.equations):
        if equation.primitive is Attention:
            weights = _weights(equation, [recording.arrays[x] for x in equation.inputs])
        elif number in written_out:
            weights = from_numpy(recording.arrays[equation.outputs[0]].copy())
        else:
            continue
        path = equation.path.partition("/")[0]
        count = sum(name == path or name.startswith(f"{path} (") for name in found)
        found[path if not count else f"{path} ({count + 1})"] = weights
    return found


def _weights(equation: Equation, arrays: Sequence[Array]) -> Tensor:
    """Those of attention by tiles, which never has them all."""
    query, key = (from_numpy(x.copy()) for x in arrays[:2])
    added, _ = parts_of(tuple(arrays[3:]), equation.parameters["keep"])
    bias = from_numpy(added[0].copy()) if added else None
    with no_grad():
        if equation.parameters["causal"]:
            triangle = forbid(~causal_mask(query.shape[-2], key.shape[-2]), query.dtype)
            bias = triangle if bias is None else bias + triangle
        if bias is not None:
            bias = bias.expand(*query.shape[:-1], key.shape[-2])
        weights: Tensor = attention_weights(query, key, bias, equation.parameters["scale"])
    return weights


def draw_attention(maps: Mapping[str, Tensor], path: str | Path, tokens: Sequence[str] | None = None) -> None:
    """The maps of the first sample, a row for each attention and a column for each head, as a PNG.

    tokens: what stands beside the rows and below the columns, where both are as many.
    """
    if not maps:
        raise ShapeError("draw_attention: there are no maps; the model has computed no attention.")
    pictures = {name: weights.reshape(-1, *weights.shape[-3:])[0].numpy() for name, weights in maps.items()}
    columns = max(len(heads) for heads in pictures.values())
    figure = new_figure(2.0 * columns + 0.6, 2.2 * len(pictures), 100)
    grid = figure.subplots(len(pictures), columns, squeeze=False)
    for row, (name, heads) in zip(grid, pictures.items(), strict=True):
        for i, axes in enumerate(row):
            if i >= len(heads):
                axes.axis("off")
                continue
            axes.imshow(heads[i], cmap="magma", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(f"{name}, head {i + 1}" if i == 0 else f"head {i + 1}", fontsize=8, loc="left")
            axes.set(xticks=[], yticks=[])
            for ticks, extent in ((axes.set_xticks, heads.shape[2]), (axes.set_yticks, heads.shape[1])):
                if tokens is not None and len(tokens) == extent:
                    ticks(range(extent), list(tokens), fontsize=6)
    write_figure(path, figure)
