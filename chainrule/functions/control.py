"""Loops that can be differentiated and compiled as one operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from chainrule.cell import TensorCell
from chainrule.errors import ShapeError
from chainrule.functions.creation import make
from chainrule.primitives.control import Memory, OutsideWritesError, loop

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def scan(
    function: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """A loop with a carry: `carry, y = function(carry, x)` for each x along the first dimension of `xs`.

    The function is run once, to note what it does; the loop then repeats that, forwards and, for gradients,
    backwards. So it must do the same thing in each step: a Python branch on a tensor's value is a TraceError.
    Tensors that it uses from outside (weights) are found and get their gradients.

    Args:
        function: takes and returns nested tuples, lists or dictionaries of tensors.
        init: the first carry. Shapes and data types of the carry stay the same.
        xs: what is walked along, each tensor (T, …); None for a loop of `length` steps.
        length: the number of steps, where `xs` does not give it.
        reverse: from the last step to the first; the results keep the order of `xs`.

    Returns:
        The last carry, and the y of all steps stacked along a new first dimension (None where y is None).

    >>> import chainrule
    >>> def add(total, x):
    ...     return total + x, total
    >>> scan(add, chainrule.tensor(0.0), chainrule.tensor([1.0, 2.0, 3.0]))
    (tensor(6.), tensor([0., 1., 3.]))
    """
    carry, rows = flatten(init), flatten(xs)
    extents: set[Any] = {x.shape[0] if x.ndim else None for x in rows} | ({length} if length is not None else set())
    if len(extents) != 1 or None in extents:
        raise ShapeError(
            f"scan: all of xs must have one first extent (or give length), got {sorted(map(str, extents))}."
        )
    shapes: list[Any] = []

    def step(carry: list[Any], rows: list[Any], cells: list[Any]) -> tuple[list[Any], list[Any]]:
        after, y = function(rebuild(init, iter(carry)), rebuild(xs, iter(rows)))
        shapes.append(y)
        new = flatten(after)
        if len(new) != len(carry):
            raise ShapeError(f"scan: the carry starts with {len(carry)} tensors and the function returns {len(new)}.")
        return new, flatten(y)

    steps = extents.pop()
    try:
        final, stacked = loop(step, carry, rows, [], steps, reverse)
    except OutsideWritesError as error:
        final, stacked = _loop_with_cells(step, carry, rows, error, steps, reverse)
    return rebuild(init, iter(final)), rebuild(shapes[-1], iter(stacked))


def scan_again(
    function: Callable[[Any, Any], tuple[Any, Any]],
    init: tuple[Tensor, ...],
    xs: tuple[Tensor, ...],
    reverse: bool,
    memory: Memory,
    outside: Sequence[Tensor],
) -> tuple[tuple[Tensor, ...], Any]:
    """`scan` with a function that does the same in every call, so that what it does is remembered in `memory`.

    It takes and returns the carry as a tuple, and one y or None. Besides its arguments and what it makes itself it uses
    no tensors but those of `outside`, and it changes none.
    """

    def step(carry: list[Any], rows: list[Any], _: list[Any]) -> tuple[list[Any], list[Any]]:
        after, y = function(tuple(carry), tuple(rows))
        return list(after), flatten(y)

    final, ys = loop(step, list(init), list(xs), [], xs[0].shape[0], reverse, memory, outside)
    return tuple(final), ys[0] if ys else None


def _loop_with_cells(
    step: Any, carry: list[Any], rows: list[Any], error: OutsideWritesError, length: int, reverse: bool
) -> tuple[list[Any], list[Any]]:
    """The loop once more, with the cells that its body changes as further carries: the state of a generator."""
    cells: list[Any] = error.cells
    if any(cell.dtype.is_floating_point for cell in cells):
        raise error

    def step_with_cells(both: list[Any], rows: list[Any], _: list[Any]) -> tuple[list[Any], list[Any]]:
        before = [cell.value for cell in cells]
        for cell, now in zip(cells, both[len(carry) :], strict=True):
            cell._value = now.value
        try:
            new, ys = step(both[: len(carry)], rows, [])
            return [*new, *[make(cell.value.array) for cell in cells]], ys
        finally:
            for cell, value in zip(cells, before, strict=True):
                cell._value = value

    start = [*carry, *[cell.detach_copy() for cell in cells]]
    final, stacked = loop(step_with_cells, start, rows, [], length, reverse)
    for cell, last in zip(cells, final[len(carry) :], strict=True):
        cell.set_value(last.value)
    return final[: len(carry)], stacked


def flatten(tree: Any) -> list[Any]:
    """The tensors in nested tuples, lists and dictionaries, in order."""
    if tree is None:
        return []
    if isinstance(tree, TensorCell):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [tensor for part in tree for tensor in flatten(part)]


def rebuild(tree: Any, tensors: Any) -> Any:
    """The same nest with the tensors replaced, in order."""
    if tree is None:
        return None
    if isinstance(tree, TensorCell):
        return next(tensors)
    if isinstance(tree, dict):
        return {name: rebuild(part, tensors) for name, part in tree.items()}
    parts = [rebuild(part, tensors) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
