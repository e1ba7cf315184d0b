"""Batches in which each image is mixed with its neighbour, and the labels with it: mixup and CutMix."""

from __future__ import annotations

from typing import Any

from chainrule.data.transforms.images import per_image
from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.counting import one_hot
from chainrule.functions.creation import arange
from chainrule.functions.logic import where
from chainrule.nn.module import Module
from chainrule.random import Generator, rand, randn
from chainrule.tensor import Tensor


def beta_draws(n: int, alpha: float, generator: Generator | None = None) -> Tensor:
    """(n,), float64: draws from Beta(α, α), as x/(x + y) of two draws from Gamma(α).

    Gamma by Marsaglia and Tsang, "A simple method for generating gamma variables", 2000: with d = α + 2/3 and
    v = (1 + z/√(9d))³ for normal z, d·v is accepted with probability near 1, and is Gamma(α + 1); times u^(1/α) it is
    Gamma(α). Of sixteen attempts at once the first that is accepted is taken. Logarithms keep small α apart from 0.

    >>> import chainrule
    >>> bool((beta_draws(100, 0.2) <= 1).all())
    True
    """
    if alpha <= 0:
        raise ValueError(f"alpha is above 0, got {alpha}.")
    d = alpha + 2 / 3
    z = randn(n, 2, 16, dtype="float64", generator=generator)
    u = rand(n, 2, 17, dtype="float64", generator=generator)
    root = (1 + z / (9 * d) ** 0.5).clamp(min=1e-12)
    v = root**3
    accepted = (1 - u[..., :16]).log() < 0.5 * z * z + d - d * v + d * v.log()
    taken = accepted.long().argmax(-1, keepdim=True)
    gamma = v.gather(-1, taken).squeeze(-1).log() + (1 - u[..., 16]).log() / alpha
    return (gamma[:, 0] - gamma[:, 1]).sigmoid()


def soft_labels(labels: Tensor, n: int, num_classes: int | None, name: str) -> Tensor:
    """(N, classes) of class numbers (N,), or labels that are soft already."""
    if labels.ndim < 1 or labels.shape[0] != n:
        raise ShapeError(f"{name}: {n} images go with {n} labels, got {tuple(labels.shape)}.")
    if labels.dtype.is_floating_point:
        if labels.ndim != 2:
            raise ShapeError(f"{name}: soft labels are (N, classes), got {tuple(labels.shape)}.")
        return labels
    if labels.ndim != 1:
        raise ShapeError(f"{name}: class numbers are (N,), got {tuple(labels.shape)}.")
    if num_classes is None:
        raise ValueError(f"{name}: num_classes is needed for labels that are class numbers.")
    return one_hot(labels, num_classes).float()


def _need_batch(images: Any, name: str) -> Tensor:
    if not isinstance(images, Tensor) or images.ndim != 4:
        given = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ShapeError(f"{name} takes a batch of images (N, C, H, W), got {given}.")
    if not images.dtype.is_floating_point:
        raise DTypeError(f"{name} takes floating-point images, got {images.dtype}.")
    return images


def mixup(
    images: Tensor, labels: Tensor, alpha: float = 1.0, num_classes: int | None = None,
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Each image becomes λ·itself + (1 − λ)·the one before it in the batch, with its own λ from Beta(α, α).

    images: (N, C, H, W), shuffled. labels: (N,), class numbers, with `num_classes`; or (N, classes), soft. The results
    have the shapes (N, C, H, W) and (N, classes); the labels are mixed as the images are.
    Source: Zhang et al., "mixup: beyond empirical risk minimization", 2018 (one λ for a batch there).

    >>> import chainrule
    >>> x, y = mixup(chainrule.rand(4, 3, 8, 8), chainrule.tensor([0, 1, 2, 0]), num_classes=3)
    >>> y.shape, y.sum(1)
    (Size([4, 3]), tensor([1., 1., 1., 1.]))
    """
    x = _need_batch(images, "mixup")
    y = soft_labels(labels, x.shape[0], num_classes, "mixup")
    share = beta_draws(x.shape[0], alpha, generator)
    return _mixed(x, per_image(share.to(x.dtype))), _mixed(y, share.to(y.dtype).unsqueeze(1))


def _mixed(x: Tensor, weights: Tensor) -> Tensor:
    return x * weights + x.roll(1, 0) * (1 - weights)


def cutmix(
    images: Tensor, labels: Tensor, alpha: float = 1.0, num_classes: int | None = None,
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Each image gets a rectangle of the one before it in the batch, and as much of its label as it covers.

    The rectangle has the image's shape, the area 1 − λ with λ from Beta(α, α), and its middle anywhere: what stands out
    is cut off, and the labels go by the area that is left. Arguments and results as `mixup`.
    Source: Yun et al., "CutMix: regularization strategy to train strong classifiers", 2019.

    >>> import chainrule
    >>> x, y = cutmix(chainrule.rand(4, 3, 8, 8), chainrule.tensor([0, 1, 2, 0]), num_classes=3)
    >>> y.shape, y.sum(1)
    (Size([4, 3]), tensor([1., 1., 1., 1.]))
    """
    x = _need_batch(images, "cutmix")
    n, _, h, w = x.shape
    y = soft_labels(labels, n, num_classes, "cutmix")
    half = 0.5 * (1 - beta_draws(n, alpha, generator)).sqrt()
    middle = rand(2, n, dtype="float64", generator=generator)
    inside: Tensor | None = None
    area: Any = 1.0
    for i, extent in enumerate((h, w)):
        centre, reach = (middle[i] * extent).floor(), (half * extent).floor()
        low, high = (centre - reach).clamp(0, extent), (centre + reach).clamp(0, extent)
        places = arange(extent).double()
        within = (places >= low.unsqueeze(1)) & (places < high.unsqueeze(1))  # (N, extent)
        within = within.reshape(n, 1, extent, 1) if i == 0 else within.reshape(n, 1, 1, extent)
        inside = within if inside is None else inside & within
        area = area * (high - low) / extent
    assert inside is not None
    share = (1 - area).to(y.dtype).unsqueeze(1)
    return where(inside, x.roll(1, 0), x), y * share + y.roll(1, 0) * (1 - share)


class MixUp(Module):
    """`mixup` as a transform of (images, labels).

    >>> import chainrule
    >>> MixUp(alpha=0.2, num_classes=10)(chainrule.rand(4, 1, 8, 8), chainrule.arange(4))[1].shape
    Size([4, 10])
    """

    mix = staticmethod(mixup)

    def __init__(
        self, *, alpha: float = 1.0, num_classes: int | None = None, generator: Generator | None = None
    ) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"alpha is above 0, got {alpha}.")
        self.alpha, self.num_classes, self.generator = alpha, num_classes, generator

    def forward(self, *inputs: Any) -> tuple[Tensor, Tensor]:
        """(images, labels) mixed, given as two arguments or as a pair."""
        images, labels = inputs[0] if len(inputs) == 1 else inputs
        return self.mix(images, labels, self.alpha, self.num_classes, self.generator)

    def extra_repr(self) -> str:
        """The settings."""
        return f"alpha={self.alpha}, num_classes={self.num_classes}"


class CutMix(MixUp):
    """`cutmix` as a transform of (images, labels).

    >>> import chainrule
    >>> CutMix(num_classes=10)(chainrule.rand(4, 1, 8, 8), chainrule.arange(4))[1].shape
    Size([4, 10])
    """

    mix = staticmethod(cutmix)


__all__ = ["CutMix", "MixUp", "cutmix", "mixup"]
