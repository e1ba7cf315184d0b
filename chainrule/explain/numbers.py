"""What is shown of an array: its numbers if it is small, otherwise what they are like."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from chainrule.primitives.value import Array

#: Up to so many entries numbers are shown, above it statistics.
SMALL = 64
#: Pictures are made of arrays with up to so many rows and columns.
PICTURE = 64


def as_plain(x: Array) -> Array:
    """The entries in a type that NumPy computes with: float32 for halves."""
    return x.astype(np.float32) if x.dtype.kind == "V" or (x.dtype.itemsize == 2 and x.dtype.kind == "f") else x


def nested(x: Array) -> Any:
    """Numbers as nested lists for JSON, each in the shortest way to write it; NaN and infinities as words."""
    if x.dtype.kind not in "fV":
        return x.tolist()
    plain = as_plain(x)
    if plain.dtype.itemsize < 8:  # by way of text: the shortest that gives this number in its own type
        plain = plain.astype("U32").astype(np.float64)
    return plain.tolist() if np.isfinite(plain).all() else _in_words(plain.tolist())


def _in_words(x: Any) -> Any:
    if isinstance(x, list):
        return [_in_words(row) for row in x]
    return x if math.isfinite(x) else "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"


def statistics(x: Array) -> dict[str, Any]:
    """Least, largest, mean, deviation of the finite entries; the share of zeros; how many are NaN."""
    answer: dict[str, Any] = dict.fromkeys(("least", "largest", "mean", "deviation"))
    if not x.size:
        return {**answer, "zeros": 0.0, "nan": 0}
    blocks = blocks_of(x)
    answer["zeros"] = _for_json(1 - sum(map(np.count_nonzero, blocks)) / x.size)
    answer["nan"] = 0
    with np.errstate(over="ignore", invalid="ignore"):
        least, largest = _ends(blocks)
        if not (math.isfinite(least) and math.isfinite(largest)):
            answer["nan"] = sum(int(np.isnan(b).sum()) for b in blocks)
            blocks = [b[~np.isnan(b)] for b in blocks]
            least, largest = _ends(blocks)
            blocks = [b[np.isfinite(b)] for b in blocks]
    if least <= largest:
        answer["least"], answer["largest"] = _for_json(least), _for_json(largest)
    count = sum(b.size for b in blocks)
    if count:
        mean = sum(float(b.sum(dtype=np.float64)) for b in blocks) / count
        ends = (least, largest) if math.isfinite(least - largest) else _ends(blocks)
        answer["mean"], answer["deviation"] = _for_json(mean), _for_json(_deviation(blocks, mean, count, *ends))
    return answer


#: Large arrays are looked at in blocks of so many entries: nothing as large as they are is made.
BLOCK = 1 << 20


def blocks_of(x: Array) -> list[Array]:
    """The entries in blocks, in a type that NumPy computes with."""
    flat = x.reshape(-1)
    parts = [flat] if x.size <= BLOCK else [flat[i : i + BLOCK] for i in range(0, x.size, BLOCK)]
    return [part if part.dtype.kind == "f" else part.astype(np.float64) for part in map(as_plain, parts)]


def _ends(blocks: list[Array]) -> tuple[float, float]:
    """The least and the largest entry; (∞, −∞) where there is none."""
    return min(float(b.min(initial=math.inf)) for b in blocks), max(float(b.max(initial=-math.inf)) for b in blocks)


def _deviation(blocks: list[Array], mean: float, count: int, least: float, largest: float) -> float:
    """The standard deviation; the squares of very small and very large numbers are those of multiples of them."""
    spread = max(largest - mean, mean - least)
    scale = 1.0 if 1e-12 < spread < 1e12 or not 0 < spread < math.inf else spread
    squares = 0.0
    for block in blocks:
        away = block - mean if scale == 1 else (block.astype(np.float64) - mean) / scale
        squares += float(np.dot(away, away))
    return scale * math.sqrt(squares / count)


def _for_json(x: Any) -> Any:
    if isinstance(x, int):
        return x
    return float(f"{x:.6g}") if math.isfinite(x) else "Infinity" if x > 0 else "-Infinity"


def summarised(x: Array | None, most: int = SMALL) -> dict[str, Any] | None:
    """Numbers, if there are at most so many, and statistics of an array, for the data."""
    if x is None:
        return None
    return {"numbers": nested(x) if x.size <= most else None, "statistics": statistics(x)}


def _pictured(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """How many planes of an array are in its picture, and every how many-th of their rows and columns.

    None where there is no picture.
    """
    if len(shape) < 2 or math.prod(shape) <= SMALL or min(shape[-2:]) < 2:
        return None
    rows, columns = shape[-2:]
    down, along = -(-rows // PICTURE), -(-columns // PICTURE)
    planes = min(8, math.prod(shape[:-2]), PICTURE // columns) if down == along == 1 else 1
    return planes, down, along


def picture_size(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """How high and wide the picture of an array of that shape is, in pixels; None where there is none."""
    pictured = _pictured(shape)
    if pictured is None:
        return None
    planes, down, along = pictured
    return -(-shape[-2] // down), -(-shape[-1] // along) * planes


def picture(x: Array) -> dict[str, Any] | None:
    """An array that can be looked at as grey levels: (…, H, W) with more entries than are written as numbers.

    Of many channels the first eight stand side by side. The levels go from the least entry (0) to the largest (255).
    """
    pictured = _pictured(x.shape)
    if pictured is None:
        return None
    planes, down, along = pictured
    shown = x.reshape(-1, *x.shape[-2:])[:planes, ::down, ::along]
    image = np.concatenate(list(as_plain(shown)), axis=1).astype(np.float64)
    finite = image[np.isfinite(image)]
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    if finite.size < image.size:
        image = np.nan_to_num(image, nan=low, posinf=high, neginf=low)
    levels = (image / 2 - low / 2) * (255 / ((high / 2 - low / 2) or 1))  # halves, for high − low may be infinite
    grey = np.ascontiguousarray(levels.astype(np.uint8))
    return {
        "width": int(grey.shape[1]),
        "height": int(grey.shape[0]),
        "least": _for_json(low),
        "largest": _for_json(high),
        "base64": base64.b64encode(grey.tobytes()).decode(),
    }


def histogram(x: Array, bins: int = 16) -> list[int] | None:
    """How many of the finite entries lie in each of 16 equal intervals; of many entries every so many is counted."""
    if x.size <= SMALL or x.dtype.kind == "b":
        return None
    plain = as_plain(x.reshape(-1)[:: 1 + x.size // 16384]).astype(np.float64)
    low, high = float(plain.min()), float(plain.max())
    if not math.isfinite(high - low):
        plain = plain[np.isfinite(plain)]
        low, high = float(plain.min(initial=math.inf)), float(plain.max(initial=-math.inf))
    if not low < high or math.isinf(high - low):
        return None
    places = ((plain - low) * (bins / (high - low))).astype(np.intp)
    return np.bincount(np.minimum(places, bins - 1, out=places), minlength=bins).tolist()
