"""Augmentation with next to nothing to tune: one or some of fourteen changes, drawn for each image."""

from __future__ import annotations

import math
from typing import Any

from chainrule.data.transforms import color, warp
from chainrule.data.transforms.images import InterpolationMode, mode_name, on_floats, on_unit_range, per_image
from chainrule.data.transforms.transform import Transform
from chainrule.functions.creation import tensor
from chainrule.functions.logic import where
from chainrule.functions.pieces import stack
from chainrule.random import Generator, rand, randint
from chainrule.tensor import Tensor

NEAREST = InterpolationMode.NEAREST
#: What may happen to an image. The first ones are one affine map; those from "shear x" to "sharpness" have a sign.
CHANGES = (
    "identity", "shear x", "shear y", "move x", "move y", "rotate", "brightness", "saturation", "contrast", "sharpness",
    "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
_SIGNED = CHANGES[1:10]
#: For each round which change an image gets (N,), and its strength (N,).
Rounds = list[tuple[Tensor, Tensor]]


class _Policy(Transform):
    """`rounds` changes one after the other. `strongest` says how strong each is at most."""

    def __init__(self, bins: int, interpolation: Any, fill: Any, generator: Generator | None) -> None:
        super().__init__(generator)
        if bins < 2:
            raise ValueError(f"num_magnitude_bins is at least 2, got {bins}.")
        self.num_magnitude_bins, self.mode, self.fill = bins, mode_name(interpolation, *warp.SAMPLING), fill

    rounds = 1

    def strongest(self, h: int, w: int) -> dict[str, float]:
        raise NotImplementedError

    def bins(self, n: int) -> Tensor:
        """Which of the strengths each image gets (N,), from 0 to `num_magnitude_bins` − 1."""
        raise NotImplementedError

    def draw(self, images: Tensor) -> Rounds:
        """What happens to each image, round by round."""
        n, _, h, w = images.shape
        most = self.strongest(h, w)
        span = self.num_magnitude_bins - 1
        table = []
        for name in CHANGES:
            parts = [k / span * most.get(name, 0.0) for k in range(span + 1)]
            parts = [8 - round(v) for v in parts] if name == "posterize" else parts
            parts = [int(v) for v in parts] if name.startswith("move") else parts
            table.append([255 - v for v in parts] if name == "solarize" else parts)
        strengths = tensor(table, dtype="float64")
        signed = tensor([name in _SIGNED for name in CHANGES])
        rounds = []
        for _ in range(self.rounds):
            which = randint(0, len(CHANGES), (n,), generator=self.generator)
            strength = strengths[which, self.bins(n)]
            minus = (rand(n, generator=self.generator) < 0.5) & signed[which]
            rounds.append((which, where(minus, -strength, strength)))
        return rounds

    def change_images(self, images: Tensor, settings: Rounds) -> Tensor:
        """Round by round."""
        size = images.shape[-2], images.shape[-1]

        def changed(x: Tensor) -> Tensor:
            for which, strength in settings:
                moved = warp.warp_affine(x, _map(which, strength, *size), size, self.mode, self.fill)
                x = _looks(x, moved, which, strength)
            return x

        return on_unit_range(images, changed)

    def change_mask(self, mask: Tensor, settings: Rounds) -> Tensor:
        """By those changes that move something."""
        size = mask.shape[-2], mask.shape[-1]

        def changed(x: Tensor) -> Tensor:
            for which, strength in settings:
                x = warp.warp_affine(x, _map(which, strength, *size), size, "nearest", 0)
            return x

        return on_floats(mask, changed)

    def move_points(self, points: Tensor, settings: Rounds, size: tuple[int, int]) -> Tensor:
        """By those changes that move something."""
        x, y = points[..., 0], points[..., 1]
        for which, strength in settings:
            x, y = warp.map_places(_map(which, strength, *size), x, y)
        return stack([x, y], -1).to(points.dtype)


def _map(which: Tensor, strength: Tensor, h: int, w: int) -> warp.Affine:
    """The affine map of each image: of those changes that move nothing the identity. Shears keep the first corner."""

    def part(name: str) -> Tensor:
        return where(which == CHANGES.index(name), strength, 0.0)

    shear = [part(name).arctan() * (180 / math.pi) for name in ("shear x", "shear y")]
    sheared = (which == CHANGES.index("shear x")) | (which == CHANGES.index("shear y"))
    fixed = where(sheared, -0.5, (w - 1) / 2).double(), where(sheared, -0.5, (h - 1) / 2).double()
    return warp.affine_map(-part("rotate"), (part("move x"), part("move y")), 1.0, shear, fixed)


def _looks(x: Tensor, moved: Tensor, which: Tensor, strength: Tensor) -> Tensor:
    """For each image the result of its change, where `moved` is that of the affine ones."""
    factor = 1 + strength
    results = {
        "brightness": color.adjust_brightness(x, factor),
        "saturation": color.adjust_saturation(x, factor),
        "contrast": color.adjust_contrast(x, factor),
        "sharpness": color.adjust_sharpness(x, factor),
        "posterize": color.posterize(x, strength.to(x.dtype)),
        "solarize": color.solarize(x, (strength / 255).to(x.dtype)),
        "autocontrast": color.autocontrast(x),
        "equalize": color.equalize(x),
        "identity": x,
    }
    for name, result in results.items():
        moved = where(per_image(which == CHANGES.index(name)), result, moved)
    return moved


class RandAugment(_Policy):
    """`num_ops` of fourteen changes, all of the strength `magnitude`, one after the other.

    magnitude: from 0 (nothing) to num_magnitude_bins − 1. Those that move something take masks and keypoints along.
    Source: Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space", 2020.

    >>> import chainrule
    >>> RandAugment()(chainrule.rand(4, 3, 8, 8)).shape
    Size([4, 3, 8, 8])
    """

    def __init__(
        self, num_ops: int = 2, magnitude: int = 9, num_magnitude_bins: int = 31, interpolation: Any = NEAREST,
        fill: Any = None, *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(num_magnitude_bins, interpolation, fill, generator)
        if num_ops < 0:
            raise ValueError(f"num_ops is at least 0, got {num_ops}.")
        if not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(f"magnitude is from 0 to {num_magnitude_bins - 1}, got {magnitude}.")
        self.num_ops = self.rounds = num_ops
        self.magnitude = magnitude

    def strongest(self, h: int, w: int) -> dict[str, float]:
        """Shears as slopes, moves in pixels, turns in degrees."""
        colours = dict.fromkeys(("brightness", "saturation", "contrast", "sharpness"), 0.9)
        moves = {"move x": 150 / 331 * w, "move y": 150 / 331 * h, "rotate": 30.0}
        return {"shear x": 0.3, "shear y": 0.3, **moves, **colours, "posterize": 4.0, "solarize": 255.0}

    def bins(self, n: int) -> Tensor:
        """All the same."""
        return tensor([self.magnitude]).expand(n)

    def extra_repr(self) -> str:
        """The settings."""
        return f"num_ops={self.num_ops}, magnitude={self.magnitude}, num_magnitude_bins={self.num_magnitude_bins}"


class TrivialAugmentWide(_Policy):
    """One of fourteen changes, of any strength.

    Source: Müller and Hutter, "TrivialAugment: tuning-free yet state-of-the-art data augmentation", 2021.

    >>> import chainrule
    >>> TrivialAugmentWide()(chainrule.rand(4, 3, 8, 8)).shape
    Size([4, 3, 8, 8])
    """

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = NEAREST, fill: Any = None, *,
        generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(num_magnitude_bins, interpolation, fill, generator)

    def strongest(self, h: int, w: int) -> dict[str, float]:
        """Shears as slopes, moves in pixels, turns in degrees."""
        slopes = dict.fromkeys(("shear x", "shear y", "brightness", "saturation", "contrast", "sharpness"), 0.99)
        return {**slopes, "move x": 32.0, "move y": 32.0, "rotate": 135.0, "posterize": 6.0, "solarize": 255.0}

    def bins(self, n: int) -> Tensor:
        """Each its own."""
        return randint(0, self.num_magnitude_bins, (n,), generator=self.generator)

    def extra_repr(self) -> str:
        """The settings."""
        return f"num_magnitude_bins={self.num_magnitude_bins}"


__all__ = ["RandAugment", "TrivialAugmentWide"]
