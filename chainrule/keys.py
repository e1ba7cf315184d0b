"""Keys of dictionaries and sets that come from files: such that looking them up takes no longer than it should.

A dictionary finds a key by its hash. Those of texts are salted, so nobody can choose texts that share one; those of
integers and of tuples of them are not: a few hundred thousand integers n·(2⁶¹ − 1), which all have the hash 0, would
keep a reader busy for hours. Here such crowds are refused, and keys whose hash takes long itself.
"""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from chainrule.errors import CheckpointError

_PLAIN = {str, int, float, bool, bytes, type(None)}
#: Equal hashes happen by chance: −1 and −2, 1 and 2.0**61. So many in one container do not.
_CROWD = 100
_LONGEST_TEXT = 2**16
_LONGEST_TUPLE = 64


def checked_keys(keys: Iterable[Any], seen: Counter[int] | None = None) -> list[Any]:
    """The keys, all of them plain values or flat tuples of such.

    Args:
        keys: what is to be put into one dictionary or set.
        seen: how often each hash came, where the container is filled little by little.

    Raises CheckpointError for another kind of key, one that is very long, and for too many that share a hash.

    >>> checked_keys(["step", 3, ("a", 1.5), None])
    ['step', 3, ('a', 1.5), None]
    """
    found = list(keys)
    seen = Counter() if seen is None else seen
    for key in found:
        _check(key)
        if type(key) in (int, float, tuple):
            number = hash(key)
            seen[number] += 1
            if seen[number] > _CROWD:
                raise CheckpointError(
                    f"more than {_CROWD} keys of one dictionary or set share a hash, such as {brief(key)}; nobody "
                    "writes such a file by chance."
                )
    return found


def _check(key: Any) -> None:
    parts = key if type(key) is tuple else (key,)
    if len(parts) > _LONGEST_TUPLE:
        raise CheckpointError(f"the file has a tuple of {len(parts):,} entries as a key.")
    for part in parts:
        if type(part) not in _PLAIN:
            raise CheckpointError(f"the file has a {type(part).__name__} in a key of a dictionary or set.")
        if type(part) is int and not -(2**64) < part < 2**64:
            raise CheckpointError("the file has an integer of more than 64 bits in a key of a dictionary or set.")
        if type(part) in (str, bytes) and len(part) > _LONGEST_TEXT:
            raise CheckpointError(f"the file has a text of {len(part):,} letters in a key of a dictionary or set.")


def brief(thing: Any) -> str:
    """The beginning of what `repr` shows. Never more is made of it: `repr` of a nest in a file may have no end.

    >>> brief(["a" * 1000, [[[[[[[[1]]]]]]]]])
    "['aaaaaaaaaaaa...aaaaaaaaaaaaa', [[[[[[...]]]]]]]"
    """
    return reprlib.repr(thing)[:80]
