"""How a tensor prints: the text that ``repr(tensor)`` shows.

Printing has three steps, and the functions below follow them in order:

1. *Cut.* A tensor with more than ``threshold`` entries is summarised: along every long axis only the first
   and last ``edgeitems`` positions are kept.
2. *Choose.* One notation (``1.``, ``1.0000`` or ``1.0000e+00``) and one column width are chosen for all the
   entries that will be visible, so that the columns line up.
3. *Lay out.* The entries are nested in brackets, rows are broken at ``linewidth``, and the suffixes such as
   ``requires_grad=True`` are added.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Notation = Literal["exact", "integral", "fixed", "scientific"]

_PREFIX = "tensor("


@dataclass(frozen=True)
class PrintOptions:
    """The settings that every printed tensor follows.

    Attributes:
        precision: digits after the decimal point.
        threshold: a tensor with more entries than this is summarised; ``math.inf`` never summarises.
        edgeitems: entries kept at each end of a long axis of a summarised tensor.
        linewidth: characters per line, after which rows and suffixes are broken.
        sci_mode: ``True`` or ``False`` forces scientific notation on or off; ``None`` decides per tensor.

    Example:
        >>> PrintOptions(precision=2)
        PrintOptions(precision=2, threshold=1000, edgeitems=3, linewidth=80, sci_mode=None)
    """

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}
_options = PrintOptions()


def get_printoptions() -> PrintOptions:
    """Return the options in force now.

    Example:
        >>> get_printoptions().precision
        4
    """
    return _options


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how every tensor prints from now on.

    An argument left at ``None`` keeps its current value, with one exception: ``sci_mode=None`` means "decide
    for each tensor", so each call that does not name ``sci_mode`` returns to that automatic choice.

    Args:
        precision: digits after the decimal point.
        threshold: number of entries above which a tensor is summarised.
        edgeitems: entries kept at each end of a summarised axis.
        linewidth: characters per line.
        profile: ``"default"``, ``"short"`` or ``"full"``, a starting point that the other arguments refine.
        sci_mode: forces scientific notation on or off.

    Raises:
        ValueError: if ``profile`` is not one of the three names.

    Example:
        >>> set_printoptions(precision=2)
        >>> print(format_tensor(np.array([0.125, 2.0])))
        tensor([0.12, 2.00])
        >>> set_printoptions(profile="default")
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"profile must be one of {', '.join(_PROFILES)}, got {profile!r}")
    start = _options if profile is None else _PROFILES[profile]
    _options = PrintOptions(
        precision=start.precision if precision is None else precision,
        threshold=start.threshold if threshold is None else threshold,
        edgeitems=start.edgeitems if edgeitems is None else edgeitems,
        linewidth=start.linewidth if linewidth is None else linewidth,
        sci_mode=sci_mode,
    )


def format_tensor(array: Array, suffixes: Sequence[str] = ()) -> str:
    """Return the printed form of a tensor that holds ``array``.

    Args:
        array: the values, of any shape, 0-d and empty included; booleans, integers or floats (bfloat16 too).
        suffixes: what follows the values, such as ``"dtype=chainrule.float64"`` or ``"requires_grad=True"``.
            The caller decides which ones apply; only ``size=`` is added here, where the values alone do not
            show the shape.

    Raises:
        TypeError: if the entries are not booleans, integers or floats.

    Example:
        >>> print(format_tensor(np.array([[1.0, 2.0], [3.0, -4.5]]), ["requires_grad=True"]))
        tensor([[ 1.0000,  2.0000],
                [ 3.0000, -4.5000]], requires_grad=True)
        >>> print(format_tensor(np.arange(2000)))
        tensor([   0,    1,    2,  ..., 1997, 1998, 1999])
        >>> print(format_tensor(np.zeros((0, 3))))
        tensor([], size=(0, 3))
    """
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise TypeError(f"a tensor prints booleans, integers or floats, not {array.dtype}")
    options = _options
    # Empty brackets look like the shape (0,), and without edge items brackets may be all that is shown.
    if (array.size == 0 and array.ndim != 1) or (array.size > 0 and options.edgeitems <= 0):
        suffixes = [f"size={array.shape}", *suffixes]
    return _append_suffixes(_PREFIX + _values_text(array, options), suffixes, options.linewidth)


def _values_text(array: Array, options: PrintOptions) -> str:
    """Return the bracketed values, summarised if there are too many."""
    if array.size == 0:
        return "[]"
    visible = array
    if array.ndim > 0 and array.size > options.threshold:
        if options.edgeitems <= 0:
            return "[...]"
        visible = _edges(array, options.edgeitems)
    if visible.dtype.name == "bfloat16":
        visible = visible.astype(np.float32)
    notation, width = _choose_notation(visible, options)
    cut_axes = [shown < size for shown, size in zip(visible.shape, array.shape, strict=True)]
    return _Layout(notation, width, cut_axes, options).block(visible.tolist())


def _edges(array: Array, edgeitems: int) -> Array:
    """Keep the first and last ``edgeitems`` positions of each axis that is longer than both together."""
    kept = [
        np.r_[:edgeitems, size - edgeitems : size] if size > 2 * edgeitems else np.arange(size) for size in array.shape
    ]
    # Indexing all the axes at once copies the visible entries only, however large the tensor is.
    return np.asarray(array[np.ix_(*kept)])


def _choose_notation(visible: Array, options: PrintOptions) -> tuple[Notation, int]:
    """Choose the notation and column width that suit all the visible entries together."""
    if visible.dtype.kind != "f":
        return "exact", max(len(str(value)) for value in visible.ravel().tolist())
    # Zero, infinity and nan read the same in every notation, so they have no say in the choice.
    telling = visible[np.isfinite(visible) & (visible != 0)]
    if telling.size == 0:
        return "integral", 1
    notation = _float_notation(telling, options.sci_mode)
    return notation, max(len(_entry(value, notation, options.precision)) for value in telling.tolist())


def _float_notation(values: Array, sci_mode: bool | None) -> Notation:
    """Choose the notation for finite, nonzero ``values``."""
    magnitudes = np.abs(values)
    # As Python floats, because the ratio below would overflow in half precision.
    smallest, largest = float(magnitudes.min()), float(magnitudes.max())
    integral = bool(np.all(magnitudes == np.ceil(magnitudes)))
    # Fixed notation would waste columns on a wide range, and round a small value to 0.0000.
    hard_to_align = largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4
    if hard_to_align if sci_mode is None else sci_mode:
        return "scientific"
    return "integral" if integral else "fixed"


def _entry(value: float, notation: Notation, precision: int) -> str:
    """Return one entry, not yet padded to the column width."""
    if notation == "exact":
        return str(value)
    if notation == "scientific":
        return f"{value:.{precision}e}"
    if notation == "fixed":
        return f"{value:.{precision}f}"
    # The bare point says "this is a float"; inf and nan need no such reminder.
    return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"


@dataclass(frozen=True)
class _Layout:
    """Nests entries in brackets; ``cut_axes[axis]`` says whether the middle of that axis was left out."""

    notation: Notation
    width: int
    cut_axes: Sequence[bool]
    options: PrintOptions

    def block(self, values: Any, axis: int = 0) -> str:
        """Return the text of ``values``, the nested lists that remain below ``axis``."""
        axes_below = len(self.cut_axes) - axis
        if axes_below == 0:
            return _entry(values, self.notation, self.options.precision).rjust(self.width)
        pieces = [self.block(value, axis + 1) for value in values]
        if self.cut_axes[axis]:
            # The extra space inside a row sets the dots apart from the numbers.
            pieces.insert(self.options.edgeitems, " ..." if axes_below == 1 else "...")
        if axes_below == 1:
            return self._row(pieces, axis)
        line_breaks = "\n" * (axes_below - 1)
        return "[" + f",{line_breaks}{self._indent(axis)}".join(pieces) + "]"

    def _row(self, pieces: list[str], axis: int) -> str:
        """Return the innermost brackets, broken into lines that fit the line width."""
        room = self.options.linewidth - len(_PREFIX) - axis
        per_line = max(1, room // (self.width + len(", ")))
        lines = [", ".join(pieces[start : start + per_line]) for start in range(0, len(pieces), per_line)]
        return "[" + f",\n{self._indent(axis)}".join(lines) + "]"

    def _indent(self, axis: int) -> str:
        """Return the spaces that reach just past the opening bracket of ``axis``."""
        return " " * (len(_PREFIX) + axis + 1)


def _append_suffixes(text: str, suffixes: Sequence[str], linewidth: int) -> str:
    """Add each suffix to the last line, or to a new one when it would not fit, and close the parenthesis."""
    # Room for ", " is counted twice on the line that ends the values: PyTorch breaks that early, and output
    # that agrees with it character for character is worth more than two columns.
    used = len(text) - text.rfind("\n") - 1 + len(", ")
    for suffix in suffixes:
        if used + len(", ") + len(suffix) > linewidth:
            text += f",\n{' ' * len(_PREFIX)}{suffix}"
            used = len(_PREFIX) + len(suffix)
        else:
            text += f", {suffix}"
            used += len(", ") + len(suffix)
    return text + ")"
