"""In which groups a group of an explanation lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def chains_of(groups: Sequence[dict[str, Any]]) -> dict[str | None, tuple[str, ...]]:
    """For the id of each group of the data those that it lies in, from the outermost to itself; nothing for None.

    >>> chains_of([{"id": "g0", "parent": "g1"}, {"id": "g1", "parent": None}])["g0"]
    ('g1', 'g0')
    """
    parents = {group["id"]: group.get("parent") for group in groups}
    chains: dict[str | None, tuple[str, ...]] = {None: ()}
    for group in parents:
        around = [group]
        while around[-1] not in chains:
            around.append(parents[around[-1]])
        for inner in reversed(around[:-1]):
            chains[inner] = (*chains[parents[inner]], inner)
    return chains
