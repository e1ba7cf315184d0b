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
    plain = as_plain(x)
    if not plain.size:
        return {"least": None, "largest": None, "mean": None, "deviation": None, "zeros": 0.0, "nan": 0}
    if plain.dtype.kind != "f":
        plain = plain.astype(np.float64)
    zeros = 1 - np.count_nonzero(plain) / plain.size
    bad = 0
    least, largest = float(plain.min()), float(plain.max())
    if not (math.isfinite(least) and math.isfinite(largest)):
        bad = int(np.isnan(plain).sum())
        plain = plain[~np.isnan(plain)]
        least, largest = float(plain.min(initial=math.inf)), float(plain.max(initial=-math.inf))
        plain = plain[np.isfinite(plain)]
        if not plain.size:
            ends = (None, None) if least > largest else (_for_json(least), _for_json(largest))
            least_and_largest = dict(zip(("least", "largest"), ends, strict=True))
            return {**least_and_largest, "mean": None, "deviation": None, "zeros": zeros, "nan": bad}
    mean = float(plain.sum(dtype=np.float64)) / plain.size
    away = (plain - mean).reshape(-1)
    deviation = math.sqrt(float(np.dot(away, away)) / plain.size)
    answer = {"least": least, "largest": largest, "mean": mean, "deviation": deviation, "zeros": zeros, "nan": bad}
    return {name: _for_json(value) for name, value in answer.items()}


def _for_json(x: Any) -> Any:
    if isinstance(x, int):
        return x
    return float(f"{x:.6g}") if math.isfinite(x) else "Infinity" if x > 0 else "-Infinity"


def summarised(x: Array | None, most: int = SMALL) -> dict[str, Any] | None:
    """Numbers, if there are at most so many, and statistics of an array, for the data."""
    if x is None:
        return None
    return {"numbers": nested(x) if x.size <= most else None, "statistics": statistics(x)}


def picture(x: Array) -> dict[str, Any] | None:
    """An array that can be looked at as grey levels: (…, H, W) with more entries than are written as numbers.

    Of many channels the first eight stand side by side. The levels go from the least entry (0) to the largest (255).
    """
    if x.ndim < 2 or x.size <= SMALL or min(x.shape[-2:]) < 2:
        return None
    plain = as_plain(x)
    planes = plain.reshape(-1, *plain.shape[-2:])[:8]
    rows, columns = planes.shape[1:]
    if rows > PICTURE or columns > PICTURE:
        planes = planes[:1, :: -(-rows // PICTURE), :: -(-columns // PICTURE)]
    wide = max(1, PICTURE // planes.shape[2])
    image = np.concatenate(list(planes[:wide]), axis=1).astype(np.float64)
    image = image[:, : 8 * PICTURE]
    finite = image[np.isfinite(image)]
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    levels = np.clip((np.nan_to_num(image, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1), 0, 1) * 255
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
    plain = as_plain(x).reshape(-1)
    plain = plain[:: 1 + plain.size // 16384]
    plain = plain[np.isfinite(plain)].astype(np.float64)
    if not plain.size:
        return None
    low, high = float(plain.min()), float(plain.max())
    if not low < high or math.isinf(high - low):
        return None
    places = ((plain - low) * (bins / (high - low))).astype(np.intp)
    return [int(n) for n in np.bincount(np.minimum(places, bins - 1), minlength=bins)]
