"""From the values of a size in several traces to a formula that computes it from sizes that are known.

    (factor · basis + offset) // divisor,   the basis being a known size or a product of two

The first formula that gives the right number in every trace is taken. The traces are more than its unknowns, so a wrong
one does not pass; where several quotients pass, none is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chainrule.onnx.sizes import Size


class Formula(NamedTuple):
    """(factor · basis + offset) // divisor; the basis is a product of known sizes, which `bases` counts."""

    bases: tuple[int, ...]
    factor: int = 1
    offset: int = 0
    divisor: int = 1


def formula_for(wanted: Size, known: Sequence[Size]) -> Formula | None:
    """How a size follows from known ones; None if in none of the ways above.

    >>> n, t = Size((5, 6, 7, 8, 11, 18, 42)), Size((7, 9, 44, 8, 12, 10, 19))
    >>> formula_for(n * t * 3, [n, t])
    Formula(bases=(0, 1), factor=3, offset=0, divisor=1)
    >>> formula_for((t - 1) // 2 + 1, [n, t])
    Formula(bases=(1,), factor=1, offset=1, divisor=2)
    """
    for bases in _products(len(known)):
        basis = known[bases[0]]
        for place in bases[1:]:
            basis = basis * known[place]
        if isinstance(basis, Size) and (found := _affine(wanted, basis)):
            return Formula(bases, *found)
    quotients = [Formula((i,), 1, *found) for i, basis in enumerate(known) for found in _quotients(wanted, basis)]
    return quotients[0] if len(quotients) == 1 else None


def _products(count: int) -> Iterator[tuple[int, ...]]:
    yield from ((i,) for i in range(count))
    if count <= 12:
        yield from ((i, j) for i in range(count) for j in range(i, count))


def _affine(wanted: Size, basis: Size) -> tuple[int, int, int] | None:
    """(factor, offset, divisor) of factor · basis + offset, or of basis // divisor without a remainder."""
    pairs = sorted(set(zip(basis.values, wanted.values, strict=True)))
    (x0, y0), (x1, y1) = pairs[0], pairs[-1]
    if x0 == x1:
        return None
    factor, remainder = divmod(y1 - y0, x1 - x0)
    offset = y0 - factor * x0
    if not remainder and factor and all(factor * x + offset == y for x, y in pairs):
        return factor, offset, 1
    if y0 > 0 and x0 % y0 == 0 and all(y * (x0 // y0) == x for x, y in pairs):
        return 1, 0, x0 // y0
    return None


def _quotients(wanted: Size, basis: Size) -> Iterator[tuple[int, int]]:
    """(offset, divisor) of (basis + offset) // divisor, as behind windows with a stride: all that fit."""
    pairs = set(zip(basis.values, wanted.values, strict=True))
    x0, y0 = next(iter(pairs))
    for divisor in range(2, 65):
        for offset in range(y0 * divisor - x0, y0 * divisor - x0 + divisor):
            if all((x + offset) // divisor == y for x, y in pairs):
                yield offset, divisor
