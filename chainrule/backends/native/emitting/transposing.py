"""Square blocks turned over in registers: rows of a matrix in memory, read as its columns."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.backends.native.language.code import Code, Lanes


def transposed(code: Code, lanes: Lanes, rows: Sequence[str]) -> list[str]:
    """As many vectors as each has lanes, turned over: lane i of vector j becomes lane j of vector i.

    Quarters change places, within each of them its quarters, and so on: at a distance d vectors i and i + d exchange
    those lanes of which one number has the bit d and the other has not.
    """
    rows, count = list(rows), lanes.lanes
    distance = count // 2
    while distance:
        lower = [c + count - distance if c & distance else c for c in range(count)]
        upper = [c + count if c & distance else c + distance for c in range(count)]
        for i in range(count):
            if not i & distance:
                pair = rows[i], rows[i + distance]
                rows[i], rows[i + distance] = (code.shuffle(lanes, order, *pair) for order in (lower, upper))
        distance //= 2
    return rows
