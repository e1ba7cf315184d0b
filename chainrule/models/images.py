"""What all networks for images check."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeError
from chainrule.functions.promotion import need_tensor


def check_images(x: Any, channels: int, smallest: int = 1) -> None:
    """Raise a ShapeError unless x is a batch of images (N, channels, H, W), H and W at least `smallest`.

    >>> import chainrule
    >>> check_images(chainrule.zeros(1, 3, 32, 32), 3, smallest=63)
    Traceback (most recent call last):
    chainrule.errors.ShapeError: takes images (N, 3, H, W) of at least 63×63 pixels, got (1, 3, 32, 32); enlarge them.
    """
    need_tensor(x, "images")
    least = f" of at least {smallest}×{smallest} pixels" if smallest > 1 else ""
    if x.ndim != 4 or x.shape[1] != channels:
        raise ShapeError(f"takes images (N, {channels}, H, W){least}, got {tuple(x.shape)}.")
    if smallest > 1 and min(x.shape[2:]) < smallest:
        raise ShapeError(f"takes images (N, {channels}, H, W){least}, got {tuple(x.shape)}; enlarge them.")
