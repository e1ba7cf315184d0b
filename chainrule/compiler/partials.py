"""A function with some of its arguments (`functools.partial`): what it is made of, and where each part lies.

>>> double = functools.partial(pow, 2, mod=5)
>>> parts_of(double)
(<built-in function pow>, (2,), {'mod': 5})
>>> [place.title for place, _ in places_in(double, None)]
["a partial's args[0]", "a partial's keywords['mod']"]
"""

from __future__ import annotations

import functools
from typing import Any

from chainrule.compiler.places import Place, parts_of


def content_of(thing: functools.partial[Any]) -> tuple[Any, ...]:
    """All that it is made of, to be compared."""
    function, args, keywords = parts_of(thing)
    return function, args, *keywords.items()


def place_of_function(thing: functools.partial[Any], place: Place | None) -> Place:
    """Where the function lies that it calls. `place` is where it lies itself."""
    return Place(thing, "attribute", "func", f"{place or 'a partial'}'s func", place)


def place_of_names(thing: functools.partial[Any], place: Place | None) -> Place:
    """Where the dictionary of its named arguments lies."""
    return Place(thing, "attribute", "keywords", f"{place or 'a partial'}'s keywords", place)


def places_in(thing: functools.partial[Any], place: Place | None) -> list[tuple[Place, Any]]:
    """Its arguments, each with where it lies; those without a name first."""
    args, names = (
        Place(thing, "attribute", "args", f"{place or 'a partial'}'s args", place),
        place_of_names(thing, place),
    )
    return [
        *((Place(thing.args, "item", i, f"{args}[{i}]", args), part) for i, part in enumerate(thing.args)),
        *((Place(thing.keywords, "entry", k, f"{names}[{k!r}]", names), x) for k, x in thing.keywords.items()),
    ]
