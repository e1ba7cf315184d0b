"""What all networks for images check."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeError
from chainrule.functions.promotion import need_tensor


def check_images(x: Any, channels: int, smallest: int = 1, *, exactly: int | None = None) -> None:
    """Raise a ShapeError unless x is a batch of images (N, channels, H, W), H and W at least `smallest`.

    exactly: what H and W must be, for networks whose linear layers belong to one size.

    >>> import chainrule
    >>> check_images(chainrule.zeros(1, 3, 32, 32), 3, smallest=63)
    Traceback (most recent call last):
    chainrule.errors.ShapeError: takes images (N, 3, H, W) of at least 63×63 pixels, got (1, 3, 32, 32); enlarge them.
    """
    need_tensor(x, "images")
    least = f" of at least {smallest}×{smallest} pixels" if smallest > 1 else ""
    wanted = f"takes images (N, {channels}, H, W){least}"
    if exactly is not None:
        wanted = f"takes images (N, {channels}, {exactly}, {exactly})"
    shape = tuple(x.shape)
    if len(shape) != 4 or shape[1] != channels:
        raise ShapeError(f"{wanted}, got {shape}{_likely_mend(shape, channels)}.")
    if exactly is not None and shape[2:] != (exactly, exactly):
        raise ShapeError(f"{wanted}, got {shape}; resize them, or make the network with another image_size.")
    if smallest > 1 and min(shape[2:]) < smallest:
        raise ShapeError(f"{wanted}, got {shape}; enlarge them.")


def _likely_mend(shape: tuple[int, ...], channels: int) -> str:
    if len(shape) == 4 and shape[3] == channels:
        return "; channels come second: x.permute(0, 3, 1, 2)"
    if len(shape) == 3 and shape[0] == channels:
        return "; one image is a batch of one: x[None]"
    if len(shape) == 4 and shape[1] in (1, 3):
        return f"; a network for {'grey' if shape[1] == 1 else 'colour'} images is made with in_channels={shape[1]}"
    return ""
