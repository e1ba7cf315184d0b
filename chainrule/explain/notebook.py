"""What a notebook shows: HTML without scripts, so that it looks the same in JupyterLab, VS Code and Colab."""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape
from typing import Any

import numpy as np

from chainrule.explain.numbers import histogram, picture, statistics
from chainrule.explain.text import short
from chainrule.nn.module import Module

#: How high a page is within a notebook, in pixels.
HEIGHT = 640


def framed(page: str) -> str:
    """A whole page within another: nothing in it can reach the notebook, and it is loaded from nowhere."""
    return (
        f'<iframe srcdoc="{escape(page)}" sandbox="allow-scripts" style="width: 100%; height: {HEIGHT}px; border: 0" '
        'title="explanation"></iframe>'
    )


def tensor_html(tensor: Any) -> str:
    """A tensor's text, and of one with many entries what they are like: statistics, a histogram, a picture."""
    array = tensor.detach().array
    parts = [f"<pre>{escape(repr(tensor))}</pre>"]
    counts = histogram(array)
    if counts is not None:
        known = statistics(array)
        about = short({"numbers": None, "statistics": known}, array.shape)
        shares = f"mean {known['mean']:.4g}, deviation {known['deviation']:.4g}, {known['zeros']:.1%} zeros"
        not_numbers = f", {known['nan']} NaN" if known["nan"] else ""
        shape = "×".join(map(str, array.shape))
        parts.append(f"<div>{shape} {array.dtype.name}: {about}, {shares}{not_numbers}</div>{_bars(counts)}")
    found = picture(array)
    if found is not None:
        parts.append(_image(found))
    return f"<div>{''.join(parts)}</div>"


def module_html(module: Module, name: str = "") -> str:
    """A module as a tree that opens: what each part is, and how many numbers it learns."""
    children = list(module._occupied())
    count = sum(p.numel() for p in module.parameters())
    label = f"{escape(name)}: " if name else ""
    label += f"<b>{type(module).__name__}</b>({escape(module.extra_repr())})"
    label += f" · {count:,} parameters" if count else ""
    if not children:
        return f'<div style="margin-left: 1.2em">{label}</div>'
    inner = "".join(module_html(child, key) for key, child in children)
    opened = "" if name else " open"
    return f'<details{opened} style="margin-left: 1.2em"><summary>{label}</summary>{inner}</details>'


def table_html(caption: str, rows: list[dict[str, Any]]) -> str:
    """Rows of figures as a table; the names of the first are its heads."""
    heads = list(rows[0]) if rows else []
    head = "".join(f"<th>{escape(str(name))}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in heads) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape("" if value is None else str(value))


def _bars(counts: list[int]) -> str:
    """A histogram as a drawing."""
    most = max(counts)
    bars = "".join(
        f'<rect x="{12 * i}" y="{40 - 40 * n / most:.1f}" width="11" height="{40 * n / most:.1f}" fill="#3b6fb6"/>'
        for i, n in enumerate(counts)
    )
    return f'<svg width="{12 * len(counts)}" height="40" role="img"><title>histogram</title>{bars}</svg>'


def _image(found: dict[str, Any]) -> str:
    """Grey levels as a PNG, four screen pixels for each entry."""
    width, height = found["width"], found["height"]
    grey = np.frombuffer(base64.b64decode(found["base64"]), np.uint8).reshape(height, width)
    data = base64.b64encode(png_of(grey)).decode()
    about = f"entries from {found['least']} (black) to {found['largest']} (white)"
    return (
        f'<div><img alt="{about}" title="{about}" src="data:image/png;base64,{data}" width="{4 * width}" '
        f'height="{4 * height}" style="image-rendering: pixelated"/></div>'
    )


def png_of(grey: Any) -> bytes:
    r"""Grey levels (rows, columns) from 0 to 255 as the bytes of a PNG file.

    >>> png_of(np.zeros((2, 3), np.uint8))[:4]
    b'\x89PNG'
    """

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = grey.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(grey, np.uint8))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
