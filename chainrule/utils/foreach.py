"""Lists of tensors in groups of one kind, as optimisers of others ask for them."""

from __future__ import annotations

from typing import Any

__all__ = ["group_tensors", "has_foreach_support"]


def group_tensors(
    tensorlistlist: list[list[Any]], with_indices: bool = False
) -> dict[Any, tuple[list[Any], list[int]]]:
    """Lists of equal length taken apart by the device and data type of the first one's tensors.

    For each (device, dtype): the lists with only the places where it is, and these places if asked for.

    >>> import chainrule
    >>> x, y = chainrule.ones(1), chainrule.ones(1, dtype=chainrule.float64)
    >>> groups = group_tensors([[x, y, x], [None, None, None]], with_indices=True)
    >>> [(dtype, places) for (_, dtype), (_, places) in groups.items()]
    [(chainrule.float32, [0, 2]), (chainrule.float64, [1])]
    """
    groups: dict[Any, list[int]] = {}
    for place, tensor in enumerate(tensorlistlist[0]):
        groups.setdefault((tensor.device, tensor.dtype), []).append(place)
    return {
        kind: (
            [[column[i] for i in places] if column else [] for column in tensorlistlist],
            places if with_indices else [],
        )
        for kind, places in groups.items()
    }


def has_foreach_support(tensors: list[Any], device: Any) -> bool:
    """False: there are no kernels for lists of tensors; `compile` makes one program of a whole step."""
    return False
