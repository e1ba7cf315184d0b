"""Transforms that read pixels between pixels: rotation, affine maps, perspective, elastic deformation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.data.transforms import warp
from chainrule.data.transforms.filters import smooth
from chainrule.data.transforms.images import InterpolationMode, mode_name, on_floats
from chainrule.data.transforms.transform import RandomTransform, Transform
from chainrule.functions.creation import tensor
from chainrule.functions.pieces import stack
from chainrule.nn.resizing.grid_sampling import grid_sample
from chainrule.random import Generator, rand
from chainrule.tensor import Tensor

NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR


def spread(value: Any, name: str) -> tuple[float, float]:
    """A range: (low, high), or ± one number that is not negative."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"{name} is a number of at least 0, or (low, high); got {value}.")
        return -float(value), float(value)
    if len(value) != 2 or value[0] > value[1]:
        raise ValueError(f"{name} is a number of at least 0, or (low, high); got {value!r}.")
    return float(value[0]), float(value[1])


class _AffineTransform(Transform):
    """What moves by an affine map (`warp.Affine`), which `draw` gives."""

    mode: str
    fill: Any

    def canvas(self, h: int, w: int) -> tuple[int, int]:
        return h, w

    def change_images(self, images: Tensor, settings: warp.Affine) -> Tensor:
        """Read at the places from which pixels come."""
        size = self.canvas(*tuple(images.shape)[-2:])
        return on_floats(images, lambda x: warp.warp_affine(x, settings, size, self.mode, self.fill))

    def change_mask(self, mask: Tensor, settings: warp.Affine) -> Tensor:
        """As the image, from the nearest pixel, with 0 from outside."""
        size = self.canvas(*tuple(mask.shape)[-2:])
        return on_floats(mask, lambda x: warp.warp_affine(x, settings, size, "nearest", 0))

    def move_points(self, points: Tensor, settings: warp.Affine, size: tuple[int, int]) -> Tensor:
        """The map itself."""
        places = warp.map_places(settings, points[..., 0], points[..., 1])
        return stack(list(places), -1).to(points.dtype)


class RandomRotation(_AffineTransform):
    """Turned by a random angle, counter-clockwise, about the middle (or `center`, counted from the corner).

    degrees: (low, high), or ± one number. expand: the canvas holds the image turned by every angle of the range.

    >>> import chainrule
    >>> RandomRotation((90, 90))(chainrule.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    tensor([[[2., 4.],
             [1., 3.]]])
    """

    def __init__(
        self, degrees: Any, interpolation: Any = NEAREST, expand: bool = False,
        center: Sequence[float] | None = None, fill: Any = 0, *, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(generator)
        self.degrees, self.mode = spread(degrees, "degrees"), mode_name(interpolation, *warp.SAMPLING)
        if expand and center is not None:
            raise ValueError("RandomRotation: expand goes with the middle as center.")
        self.expand, self.center, self.fill = expand, center, fill

    def canvas(self, h: int, w: int) -> tuple[int, int]:
        """The new size."""
        return warp.canvas(h, w, *self.degrees) if self.expand else (h, w)

    def draw(self, images: Tensor) -> warp.Affine:
        """A rotation for each image."""
        n, _, h, w = images.shape
        return warp.rotation_map(self.uniform(n, *self.degrees), h, w, self.canvas(h, w), self.center)

    def extra_repr(self) -> str:
        """The settings."""
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"degrees={list(self.degrees)}, interpolation={self.mode}, expand={self.expand}{center}, fill={self.fill}"
        )


class RandomAffine(_AffineTransform):
    """A random affine map: sheared, scaled and turned about the middle, then moved; see `functional.affine`.

    degrees: clockwise, (low, high) or ± one number. translate: the largest moves, as parts (of the width, of the
    height); whole pixels. scale: (smallest, largest). shear: degrees along x, ± one number or (low, high), or with
    four numbers along x and y.

    >>> import chainrule
    >>> RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=5)(chainrule.zeros(4, 1, 8, 8)).shape
    Size([4, 1, 8, 8])
    """

    def __init__(
        self, degrees: Any, translate: Sequence[float] | None = None, scale: Sequence[float] | None = None,
        shear: Any = None, interpolation: Any = NEAREST, fill: Any = 0, center: Sequence[float] | None = None, *,
        generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(generator)
        self.degrees, self.mode = spread(degrees, "degrees"), mode_name(interpolation, *warp.SAMPLING)
        if translate is not None and (len(translate) != 2 or not all(0 <= t <= 1 for t in translate)):
            raise ValueError(f"translate is two parts from 0 to 1, of the width and the height; got {translate!r}.")
        if scale is not None and (len(scale) != 2 or not 0 < scale[0] <= scale[1]):
            raise ValueError(f"scale is (smallest, largest), both above 0; got {scale!r}.")
        self.translate, self.scale, self.center, self.fill = translate, scale, center, fill
        both = shear is not None and not isinstance(shear, (int, float)) and len(shear) == 4
        pairs = (shear[:2], shear[2:]) if both else (shear or 0, 0)
        self.shear = None if shear is None else tuple(spread(s, "shear") for s in pairs)

    def draw(self, images: Tensor) -> warp.Affine:
        """A map for each image."""
        n, _, h, w = images.shape
        angle = self.uniform(n, *self.degrees)
        move: tuple[Any, Any] = (0.0, 0.0)
        if self.translate is not None:
            most = self.translate[0] * w, self.translate[1] * h
            move = self.uniform(n, -most[0], most[0]).round(), self.uniform(n, -most[1], most[1]).round()
        scale = 1.0 if self.scale is None else self.uniform(n, *self.scale)
        shear: Any = (0.0, 0.0) if self.shear is None else [self.uniform(n, *range_) for range_ in self.shear]
        return warp.affine_map(angle, move, scale, shear, warp.middle(h, w, self.center))

    def extra_repr(self) -> str:
        """The settings that do something."""
        parts = [f"degrees={list(self.degrees)}"]
        given = {"translate": self.translate, "scale": self.scale, "shear": self.shear}
        parts += [f"{name}={value}" for name, value in given.items() if value is not None]
        parts += [f"interpolation={self.mode}"] if self.mode != "nearest" else []
        parts += [f"fill={self.fill}"] if self.fill else []
        return ", ".join(parts + ([f"center={self.center}"] if self.center is not None else []))


class RandomPerspective(RandomTransform):
    """With probability p the image as a plane seen from elsewhere: each corner moves inwards, independently.

    distortion_scale: how far at most, as a part of half the width and half the height.

    >>> import chainrule
    >>> RandomPerspective(0.3, p=1.0)(chainrule.zeros(4, 1, 8, 8)).shape
    Size([4, 1, 8, 8])
    """

    def __init__(
        self, distortion_scale: float = 0.5, p: float = 0.5, interpolation: Any = BILINEAR, fill: Any = 0, *,
        generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(p, generator)
        if not 0 <= distortion_scale <= 1:
            raise ValueError(f"distortion_scale is from 0 to 1, got {distortion_scale}.")
        self.distortion_scale, self.mode, self.fill = distortion_scale, mode_name(interpolation, *warp.SAMPLING), fill

    def draw(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The corners before (1, 4, 2) and after (N, 4, 2)."""
        n, _, h, w = images.shape
        corners = tensor([[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]], dtype="float64").unsqueeze(0)
        inwards = tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]], dtype="float64")
        most = tensor([self.distortion_scale * (w // 2), self.distortion_scale * (h // 2)], dtype="float64")
        draws = rand(n, 4, 2, dtype="float64", generator=self.generator)
        return corners, corners + (draws * (most.floor() + 1)).floor() * inwards

    def change_images(self, images: Tensor, settings: tuple[Tensor, Tensor]) -> Tensor:
        """Seen from elsewhere."""
        return on_floats(images, lambda x: warp.warp_perspective(x, *settings, self.mode, self.fill))

    def change_mask(self, mask: Tensor, settings: tuple[Tensor, Tensor]) -> Tensor:
        """Seen from elsewhere."""
        return on_floats(mask, lambda x: warp.warp_perspective(x, *settings, "nearest", 0))

    def move_points(self, points: Tensor, settings: tuple[Tensor, Tensor], size: tuple[int, int]) -> Tensor:
        """The same map."""
        start, end = settings
        start = start.expand(*end.shape)
        places = warp.map_perspective(warp.homography(start, end), points[..., 0].double(), points[..., 1].double())
        return stack(list(places), -1).to(points.dtype)

    def extra_repr(self) -> str:
        """The settings."""
        return f"distortion_scale={self.distortion_scale}, p={self.p}"


class ElasticTransform(Transform):
    """Pulled about by random displacements that differ little between neighbours.

    Each pixel's displacement is uniform in ±1, smoothed by a Gaussian of `sigma` pixels, times `alpha` pixels (both may
    be two numbers, along x and y). Keypoints follow to a small part of a pixel, where nothing is folded over.
    Source: Simard, Steinkraus and Platt, "Best practices for convolutional neural networks", 2003.

    >>> import chainrule
    >>> ElasticTransform(alpha=10.0, sigma=2.0)(chainrule.zeros(4, 1, 16, 16)).shape
    Size([4, 1, 16, 16])
    """

    def __init__(
        self, alpha: Any = 50.0, sigma: Any = 5.0, interpolation: Any = BILINEAR, fill: Any = 0, *,
        generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(generator)
        self.alpha, self.sigma = _two(alpha, "alpha"), _two(sigma, "sigma")
        self.mode, self.fill = mode_name(interpolation, *warp.SAMPLING), fill

    def draw(self, images: Tensor) -> Tensor:
        """Displacements (N, H, W, 2) in pixels, (right, down)."""
        n, _, h, w = images.shape
        parts = []
        for (
            alpha,
            sigma,
        ) in zip(self.alpha, self.sigma, strict=True):
            x = rand(n, 1, h, w, generator=self.generator) * 2 - 1
            for axis, extent in ((-1, w), (-2, h)):
                size = min(int(8 * sigma + 1) | 1, 2 * extent - 1)  # as far as can be mirrored
                x = smooth(x, axis, size, sigma) if sigma > 0 else x
            parts.append(x[:, 0] * alpha)
        return stack(parts, -1).double()

    def change_images(self, images: Tensor, settings: Tensor) -> Tensor:
        """Each pixel read at its place plus the displacement."""
        return on_floats(images, lambda x: warp.warp_elastic(x, settings, self.mode, self.fill))

    def change_mask(self, mask: Tensor, settings: Tensor) -> Tensor:
        """As the image, from the nearest pixel."""
        return on_floats(mask, lambda x: warp.warp_elastic(x, settings, "nearest", 0))

    def move_points(self, points: Tensor, settings: Tensor, size: tuple[int, int]) -> Tensor:
        """The place q with q + displacement(q) = p, by going to p − displacement(q) again and again."""
        field = settings.permute(0, 3, 1, 2)
        target = points.double().unsqueeze(1)  # (N, 1, K, 2)
        extent = tensor([size[1], size[0]], dtype="float64")
        place = target
        for _ in range(20):
            grid = (2 * place + 1) / extent - 1
            there = grid_sample(field, grid, padding_mode="border", align_corners=False)
            place = target - there.permute(0, 2, 3, 1)
        return place.squeeze(1).to(points.dtype)

    def extra_repr(self) -> str:
        """The settings."""
        return f"alpha={list(self.alpha)}, sigma={list(self.sigma)}, interpolation={self.mode}, fill={self.fill}"


def _two(value: Any, name: str) -> tuple[float, float]:
    numbers = (value, value) if isinstance(value, (int, float)) else tuple(value) * (2 // max(len(value), 1))
    if len(numbers) != 2 or min(numbers) < 0:
        raise ValueError(f"{name} is a number of at least 0, or two of them; got {value!r}.")
    return float(numbers[0]), float(numbers[1])


__all__ = ["ElasticTransform", "RandomAffine", "RandomPerspective", "RandomRotation"]
