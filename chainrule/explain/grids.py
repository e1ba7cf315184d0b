"""Filters and feature maps as pictures: what a layer looks for, and where it found it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.data.grid import make_grid
from chainrule.errors import ShapeError
from chainrule.figures import new_figure, write_figure
from chainrule.nn.convolution.layers import ConvolutionBase
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


def filter_grid(layer: Module, *, columns: int = 8, most: int = 64) -> Tensor:
    """The kernels of a two-dimensional convolution as one picture (3, H, W) with entries in [0, 1].

    Kernels over three channels are shown in colour; of others each channel is a grey picture, the first kernel's
    channels first. Zero is the same grey in all; black and white are the entry that is the furthest from it.

    Args:
        layer: a Conv2d.
        columns: pictures in a row.
        most: pictures in all.

    >>> from chainrule import nn
    >>> filter_grid(nn.Conv2d(3, 16, 5)).shape
    Size([3, 16, 58])
    """
    if not isinstance(layer, ConvolutionBase) or layer.weight.ndim != 4:
        raise ShapeError(f"filter_grid shows the kernels of a Conv2d, got {type(layer).__name__}.")
    kernels = layer.weight.detach()
    if kernels.shape[1] != 3:
        kernels = kernels.reshape(-1, 1, *kernels.shape[2:])
    return make_grid(_around_zero(kernels[:most]), nrow=columns, pad_value=1.0)


def feature_maps(model: Module, x: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
    """What layers make of images: (N, C, H, W) for each path, in evaluation.

    layers: paths; otherwise all layers without parts that give feature maps. Of a layer that runs several times the
    last counts. Raises ShapeError for a path whose output is none.

    >>> from chainrule import nn, ones
    >>> list(feature_maps(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), ones(1, 1, 5, 5)))
    ['0']
    """
    found: dict[str, Tensor] = {}

    def keep(path: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            found.pop(path, None)
            found[path] = output.detach_copy()  # now: it may be written to later

    handles = []
    for path, module in model.named_modules():
        if path in layers if layers is not None else not any(True for _ in module.children()):
            hook = module.register_forward_hook(lambda _, __, output, path=path: keep(path, output))
            handles.append(hook)
    try:
        with evaluation_mode(model), no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    missing = [path for path in layers or () if path not in found]
    if missing:
        raise ShapeError(f"feature_maps: {', '.join(map(repr, missing))} gave no feature maps (N, C, H, W).")
    return found


def feature_map_grid(maps: Tensor, *, columns: int = 8, most: int = 64) -> Tensor:
    """The channels of one image's feature maps (C, H, W) as one picture (3, H, W), each channel from black to white.

    >>> import chainrule
    >>> feature_map_grid(chainrule.rand(6, 10, 10)).shape
    Size([3, 14, 74])
    """
    if maps.ndim != 3:
        raise ShapeError(f"feature_map_grid: the maps of one image are (C, H, W), got {tuple(maps.shape)}.")
    return make_grid(maps[:most].unsqueeze(1), nrow=columns, normalize=True, scale_each=True, pad_value=1.0)


def draw_feature_maps(
    model: Module, image: Tensor, path: str | Path, layers: Sequence[str] | None = None, most: int = 8
) -> None:
    """An image (C, H, W) and below it, a row for each layer, its first feature maps, as a PNG."""
    maps = feature_maps(model, image.unsqueeze(0), layers)
    if not maps:
        raise ShapeError(f"draw_feature_maps: no layer of {type(model).__name__} gives feature maps.")
    figure = new_figure(1.1 * most + 1.6, 1.15 * (len(maps) + 1), 90)
    grid = figure.subplots(len(maps) + 1, most, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    picture = image.detach().numpy().transpose(1, 2, 0)
    grid[0, 0].imshow(picture[..., 0] if picture.shape[2] == 1 else picture, cmap="gray")
    grid[0, 0].set_title("input", fontsize=7, loc="left")
    for row, (name, found) in zip(grid[1:], maps.items(), strict=True):
        height, width = found.shape[2:]
        title = f"{name} {type(model.get_submodule(name)).__name__}, {found.shape[1]} of {height}×{width}"
        row[0].set_title(title, fontsize=7, loc="left")
        for axes, one in zip(row, found[0].numpy(), strict=False):
            axes.imshow(one, cmap="gray", interpolation="nearest")
    write_figure(path, figure)


def _around_zero(kernels: Tensor) -> Tensor:
    """From [−largest, largest] to [0, 1]."""
    return kernels / (2 * kernels.abs().max().clamp(min=1e-12)) + 0.5
