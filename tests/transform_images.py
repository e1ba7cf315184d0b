"""Images for the tests of transforms: noise, bytes, and smooth spots whose places are known."""

from __future__ import annotations

from typing import Any

import numpy as np

import chainrule


def images(n: int = 4, c: int = 3, h: int = 12, w: int = 10, seed: int = 1) -> Any:
    return chainrule.tensor(np.random.default_rng(seed).random((n, c, h, w)), dtype="float32")


def bytes_(*shape: int, seed: int = 1) -> Any:
    return chainrule.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def spots(n: int, size: int = 40) -> tuple[Any, Any]:
    """Images with a smooth spot each, and where it is."""
    places = np.random.default_rng(2).uniform(14, 26, (n, 1, 2)).round()
    y, x = np.mgrid[:size, :size]
    away = (x - places[:, :, 0, None]) ** 2 + (y - places[:, :, 1, None]) ** 2
    return chainrule.tensor(np.exp(-away / 8)[:, None], dtype="float32"), chainrule.tensor(places)
