"""The settings of an operation as the page reads them: what JSON has, and words for the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.primitives.indexing import ARRAY, Range


def plain(setting: Any) -> Any:
    """A setting in JSON's terms. What the page has no use for (a function, a program) becomes its name.

    >>> plain((2, np.dtype("f4"), Range(0, None, None), Ellipsis, -math.inf))
    [2, 'float32', {'range': [0, None, None]}, '...', '-Infinity']
    """
    if isinstance(setting, Range):
        return {"range": [plain(part) for part in setting]}
    if isinstance(setting, tuple | list):
        return [plain(part) for part in setting]
    if isinstance(setting, dict):
        return {str(name): plain(part) for name, part in setting.items()}
    if isinstance(setting, np.generic):
        return plain(setting.item())
    if isinstance(setting, float) and not math.isfinite(setting):
        return "NaN" if math.isnan(setting) else "Infinity" if setting > 0 else "-Infinity"
    if setting is None or isinstance(setting, bool | int | float | str):
        return setting
    if setting is Ellipsis:
        return "..."
    if setting is ARRAY:
        return "array"
    if isinstance(setting, np.dtype):
        return setting.name
    return getattr(setting, "__name__", type(setting).__name__)
