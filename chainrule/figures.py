"""Pictures by Matplotlib, which the extra `figures` brings: figures to draw on, and their files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, dpi: int = 110) -> Figure:
    """An empty figure of so many inches. Raises ImportError, with what to install, where there is no Matplotlib.

    >>> new_figure(4, 3).get_size_inches().tolist()
    [4.0, 3.0]
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need Matplotlib: pip install 'chainrule[figures]'.") from error
    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def pixels_of(figure: Any) -> np.ndarray[Any, Any]:
    """A figure as it looks: (height, width, 3) uint8.

    >>> pixels_of(new_figure(2, 1, dpi=10)).shape
    (10, 20, 3)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def write_figure(path: str | os.PathLike[str], figure: Any) -> None:
    """Write a Matplotlib figure with `write_atomically`: of the kind that the file's name ends with, else a PNG.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "curve.svg"
    >>> write_figure(target, new_figure(4, 3))
    >>> target.read_text()[:5]
    '<?xml'
    """
    ending = Path(path).suffix[1:].lower()
    kind = ending if ending in figure.canvas.get_supported_filetypes() else "png"
    write_atomically(path, lambda temporary: figure.savefig(temporary, format=kind))
