"""What each layer sees of the input: by the recursion over layers, and by where a gradient arrives.

The recursion (`nn.receptive_field`) adds up kernels and strides. The other way needs no formula: the gradient of one
entry of a layer's output is zero wherever that entry does not look. Both must agree, and on the picture they are drawn.
Sources: E 4.2.6, I III.3; Luo, Li, Urtasun and Zemel, "Understanding the effective receptive field in deep
convolutional neural networks", 2016.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.autograd.gradient import grad
from chainrule.errors import ShapeError
from chainrule.explain.tables import Tabular, TextTable
from chainrule.figures import new_figure, write_figure
from chainrule.nn.convolution.receptive_paths import TapeOfFields
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.random import Generator, rand
from chainrule.tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class SeenField:
    """What one entry in the middle of a layer's output sees of the input.

    Attributes:
        path: of the layer.
        layer: the name of its class.
        by_recursion: pixels a side, by kernels and strides; None where that is not followed, ∞ for all.
        jump: how many pixels further its neighbour looks.
        by_gradient: pixels a side where a gradient arrives; never more than the image has.
        box: for each dimension of the image the first pixel that is seen and the one behind the last.
        strength: the gradient's size at each pixel, (H, W), 1 at the strongest.
    """

    path: str
    layer: str
    by_recursion: float | None
    jump: int | None
    by_gradient: int
    box: tuple[tuple[int, int], ...]
    strength: Array


@dataclass(frozen=True)
class FieldReport(Tabular):
    """The fields of all layers, in the order in which they ran. Printing it shows a table."""

    image: tuple[int, ...]
    rows: tuple[SeenField, ...]

    def __iter__(self) -> Iterator[SeenField]:
        return iter(self.rows)

    def of(self, path: str) -> SeenField:
        """The (last) field of a layer. Raises KeyError for a path that did not run."""
        for row in reversed(self.rows):
            if row.path == path:
                return row
        raise KeyError(f"no layer {path!r} ran; there are {', '.join(dict.fromkeys(r.path for r in self.rows))}.")

    def table(self) -> TextTable:
        """For the terminal."""
        cells = []
        for row in self.rows:
            pixels = " ".join(f"{low}–{high - 1}" for low, high in row.box)
            jump = "" if row.jump is None else str(row.jump)
            cells.append([row.path, row.layer, _number(row.by_recursion), str(row.by_gradient), jump, pixels])
        columns = ["layer", "", "by recursion", "by gradient", "jump", "pixels"]
        return TextTable(f"Receptive fields in {'×'.join(map(str, self.image))} pixels", columns, cells)

    def draw(self, path: str | Path, image: Any = None, layers: Sequence[str] | None = None) -> None:
        """The fields as boxes on the image (a grey one unless given), and the strength of the last one, as a PNG.

        image: (H, W), (H, W, 3) or (C, H, W). layers: paths; otherwise all that do not see everything.
        """
        if len(self.image) != 2:
            raise ShapeError(f"fields are drawn on images of two dimensions, these are {len(self.image)}.")
        rows = [self.of(name) for name in layers] if layers is not None else self._different()
        _draw(rows, self.image, image, path)

    def _different(self) -> list[SeenField]:
        """One row for each box that is not all of the image; the first layer that has it."""
        boxes: dict[Any, SeenField] = {}
        for row in self.rows:
            if row.box != tuple((0, n) for n in self.image):
                boxes.setdefault(row.box, row)
        return list(boxes.values()) or [self.rows[-1]]


def receptive_fields(model: Module, size: Sequence[int], *, draws: int = 32, own_weights: bool = False) -> FieldReport:
    """The receptive field of every layer, by the recursion and by the gradient's support.

    The model is copied and run in evaluation on `draws` random images; a gradient is sent back from the entry in the
    middle of each layer's output. So that none is lost on the way (a ReLU that is off, a maximum elsewhere, weights
    that cancel), weights are made positive, their sum 1 in each unit, and what any of the draws reaches counts.

    Args:
        model: any module on images, signals or volumes.
        size: of one sample, (C, H, W).
        own_weights: keep the weights as they are: then `strength` is the effective field, and with dead paths the
            support may be smaller than what the architecture allows.

    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))
    >>> [(row.by_recursion, row.by_gradient) for row in receptive_fields(model, (1, 20, 20))]
    [(3, 3), (3, 3), (4, 4), (8, 8)]
    """
    if len(size) < 2:
        raise ShapeError(f"receptive_fields: the size of a sample is (C, *pixels), got {tuple(size)}.")
    model = copy.deepcopy(model)
    if not own_weights:
        _make_even(model)
    x = rand(draws, *size, generator=Generator(0)).requires_grad_()
    tape: TapeOfFields | None = TapeOfFields()
    seen: list[tuple[str, Module, Tensor, Any]] = []

    def after(path: str, module: Module, args: Any, output: Any) -> None:
        nonlocal tape
        field = None
        if tape is not None:
            try:
                field = tape.behind(module, args, output)
            except ShapeError:
                tape = None
        if isinstance(output, Tensor) and output.requires_grad:
            seen.append((path, module, output, field))

    for path, module in model.named_modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(lambda *given, path=path: after(path, *given))
    with evaluation_mode(model), enable_grad():
        if tape is not None:
            tape.start(x)
        model(x)
    if not seen:
        raise ShapeError(f"receptive_fields: no layer of {type(model).__name__} depends on the image.")
    return FieldReport(tuple(size[1:]), tuple(_field(x, *one) for one in seen))


def _make_even(model: Module) -> None:
    """All weights positive, those of one unit together 1; normalisations as they are when they are made."""
    generator = Generator(0)
    with no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                drawn = rand(*parameter.shape, generator=generator) + 0.5
                parameter.copy_(drawn / drawn.flatten(1).sum(1).reshape(-1, *[1] * (parameter.ndim - 1)))


def _field(x: Tensor, path: str, module: Module, output: Tensor, field: Any) -> SeenField:
    middle = tuple(n // 2 for n in output.shape[2:])
    entry = output[(slice(None), slice(None), *middle)].sum()
    (found,) = grad(entry, [x], retain_graph=True)
    reached = np.abs(found.detach().numpy()).sum((0, 1))
    box = []
    for d in range(reached.ndim):
        places = np.flatnonzero(reached.sum(tuple(k for k in range(reached.ndim) if k != d)))
        box.append((int(places[0]), int(places[-1]) + 1) if places.size else (0, 0))
    size, jump = (None, None) if field is None else (field.size, field.jump)
    strength = reached / max(reached.max(), 1e-30)
    return SeenField(path, type(module).__name__, size, jump, max(b - a for a, b in box), tuple(box), strength)


def _number(size: float | None) -> str:
    return "" if size is None else "all" if size == float("inf") else f"{size:g}"


def _draw(rows: Sequence[SeenField], size: tuple[int, ...], image: Any, path: str | Path) -> None:
    figure = new_figure(9.6, 4.4, 110)  # first: where Matplotlib is missing it says what to install
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    left, right = figure.subplots(1, 2)
    left.imshow(_picture(image, size), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    colours = colormaps["tab10"]
    for i, row in enumerate(rows):
        (top, bottom), (first, last) = row.box
        width = 1.6 + 0.9 * (len(rows) - i) / len(rows)  # where edges lie on each other both can be seen
        box = Rectangle((first - 0.5, top - 0.5), last - first, bottom - top, fill=False, lw=width, ec=colours(i % 10))
        box.set_label(f"{row.path} {row.layer}: {bottom - top}×{last - first}")
        left.add_patch(box)
    left.set_title("what one entry in the middle sees")
    left.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    shown = right.imshow(rows[-1].strength, cmap="magma", interpolation="nearest")
    right.set_title(f"gradient of {rows[-1].path} {rows[-1].layer}")
    figure.colorbar(shown, ax=right, fraction=0.046)
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])
    write_figure(path, figure)


def _picture(image: Any, size: tuple[int, ...]) -> Array:
    if image is None:
        return np.full(size, 0.85)
    found = np.asarray(image.detach().numpy() if isinstance(image, Tensor) else image, float)
    if found.ndim == 3 and found.shape[0] in (1, 3) and found.shape[1:] == size:
        found = found.transpose(1, 2, 0)
    found = found[..., 0] if found.ndim == 3 and found.shape[2] == 1 else found
    if found.shape[:2] != size:
        raise ShapeError(f"the image has {found.shape[:2]} pixels, the fields are of {size}.")
    return found
