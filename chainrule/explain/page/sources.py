"""The page's own files: what its scripts are, in the order in which they stand on each other."""

from __future__ import annotations

from importlib.resources import files

#: What computes: the primitives in JavaScript.
INTERPRETER = ("arrays", "elementwise", "special", "reductions", "shapes", "products", "windows", "graph")
#: What shows.
VIEW = ("state", "places", "numbers", "drawing", "panel", "outline", "steps", "search", "editing", "controls")


def read(name: str) -> str:
    """One of the page's files."""
    return (files("chainrule.explain.page") / "files" / name).read_text(encoding="utf-8")


def scripts(*names: str) -> str:
    """Several scripts as one."""
    return "\n".join(read(f"{name}.js") for name in names)
