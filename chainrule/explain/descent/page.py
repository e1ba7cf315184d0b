"""The page of optimisers: one HTML file that needs nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from chainrule.files import write_text
from chainrule.optim import landscapes
from chainrule.optim.landscapes import Landscape


def read(name: str) -> str:
    """One of the page's files."""
    return (files("chainrule.explain.descent") / "files" / name).read_text(encoding="utf-8")


def descent_page(path: str | Path | None = None, functions: Sequence[Landscape] = landscapes.ALL) -> str:
    """A page on which optimisers walk down functions of two variables: choose both, the rate, the momentum, and watch.

    The update rules and the functions are the library's, written in JavaScript once more; tests compare whole paths.
    The page is dark or light as the reader's system is, works without a network, and by keyboard alone.

    Args:
        path: where to write it; nowhere unless given.
        functions: which of `optim.landscapes`.

    The answer is the page's text.

    >>> page = descent_page()
    >>> "Rosenbrock" in page, "http" in page
    (True, False)
    """
    known = [
        {
            "name": f.name, "formula": f.formula, "box": f.box, "start": f.start, "minima": f.minima,
            "lowest": f.minimum_value if math.isfinite(f.minimum_value) else None,
        }
        for f in functions
    ]  # fmt: skip
    scripts = "\n".join(read(name) for name in ("landscapes.js", "rules.js", "page.js"))
    text = read("page.html").replace("/*STYLE*/", read("page.css"))
    text = text.replace("/*KNOWN*/", json.dumps(known, ensure_ascii=False)).replace("/*SCRIPTS*/", scripts)
    if path is not None:
        write_text(path, text)
    return text
