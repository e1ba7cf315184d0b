"""What things outside were before a step wrote to them: to tell what it left where, and to put everything back."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.changes import note_change
from chainrule.compiler.facts import MISSING
from chainrule.compiler.places import GONE, Place
from chainrule.errors import TraceError

Write = tuple[Place, Any]
_TAKEN_OUT = (
    "{}: the step takes something out of a {}, which a compiled step would do once, when it is traced. Take it out "
    "before the call, and pass it as an argument."
)


class Before:
    """What a list, dictionary, set or array was.

    Args:
        holder: the thing itself.
        place: where it was found, if anywhere.
        owner: the object whose attributes a dictionary holds, if it is that.

    Attributes:
        assigned: the keys at which the step has put something.
        is_read: whether the program depends on all that was there, because the step rearranges it.
    """

    is_read = False

    def __init__(self, holder: Any, place: Place | None, title: str, owner: Any = None) -> None:
        self.holder, self.place, self.title, self.owner = holder, place, title, owner
        self.copy = holder.copy()
        self.assigned: set[Any] = set()

    def _pair(self, key: Any) -> tuple[Any, Any]:
        """What was there and what is."""
        if isinstance(self.holder, dict):
            return self.copy.get(key, MISSING), self.holder.get(key, MISSING)
        if isinstance(self.holder, list) and type(key) is int:
            before, now = (x[key] if -len(x) <= key < len(x) else MISSING for x in (self.copy, self.holder))
            return before, now
        return None, MISSING if self.changed() else None

    def wrote(self, key: Any) -> bool:
        """Whether the step has put something there: if it was there already, another call may find something else."""
        return key in self.assigned or self.differs(key)

    def differs(self, key: Any) -> bool:
        """Whether there is something else."""
        before, now = self._pair(key)
        return before is not now

    def changed(self) -> bool:
        """Whether anything is not as it was."""
        if isinstance(self.holder, np.ndarray):
            return not np.array_equal(self.holder, self.copy, equal_nan=self.holder.dtype.kind == "f")
        if len(self.holder) != len(self.copy):
            return True
        if isinstance(self.holder, dict):
            return any(map(self.differs, self.holder))
        if isinstance(self.holder, set):
            return bool(self.holder != self.copy)
        return any(a is not b for a, b in zip(self.holder, self.copy, strict=True))

    def has_grown(self) -> bool:
        """Whether it is a list or a set with more or fewer entries than before."""
        return not isinstance(self.holder, dict) and len(self.holder) != len(self.copy)

    def writes(self) -> list[Write]:
        """The places that hold something else. A list that has grown is left as it is."""
        if isinstance(self.holder, np.ndarray) and self.changed():
            raise TraceError(
                "a compiled step writes to a NumPy array, which would happen in its first call only. Write to a tensor "
                "(`chainrule.from_numpy`), or do it outside of the compiled function."
            )
        self._refuse_what_is_lost()
        keys: Any = []
        if isinstance(self.holder, dict):
            keys = list(self.holder)
        elif isinstance(self.holder, list) and not self.has_grown():
            keys = range(len(self.holder))
        return [(self.at(key), self.holder[key]) for key in keys if self.wrote(key)]

    def _refuse_what_is_lost(self) -> None:
        """What was taken out is not put down again by a program, and so would be taken out by the first call only."""
        if isinstance(self.holder, dict):
            lost = any(key not in self.holder for key in self.copy)
        elif isinstance(self.holder, list):
            lost = len(self.holder) < len(self.copy)
        else:
            lost = self.changed() and len(self.holder) <= len(self.copy)
        if lost:
            self._refuse_what_is_registered()
            raise TraceError(_TAKEN_OUT.format(self.title, type(self.holder).__name__))

    def _refuse_what_is_registered(self) -> None:
        """An attribute of a module that was none and is a layer, a parameter or a buffer lies elsewhere from now on."""
        if self.owner is None:
            return
        tables = [self.holder.get(name, {}) for name in ("_modules", "_parameters", "_buffers")]
        for key in self.copy:
            if key not in self.holder and any(key in table for table in tables):
                raise TraceError(
                    f"{self.title}.{key} is made in the step; make it before: in `__init__`, or by one call of the "
                    "function as it is, before the compiled one."
                )

    def at(self, key: Any) -> Place:
        """The place of an entry."""
        if self.owner is not None:
            return Place(self.owner, "field", key, f"{self.title}.{key}", self.place)
        how = "entry" if isinstance(self.holder, dict) else "item"
        return Place(self.holder, how, key, f"{self.title}[{key!r}]", self.place)

    def restore(self) -> None:
        """Make it what it was."""
        if not self.changed():
            return
        if self.owner is not None:
            note_change(self.owner)  # who has seen it meanwhile has to look again
        if isinstance(self.holder, np.ndarray):
            self.holder[...] = self.copy
        elif isinstance(self.holder, dict):
            for key in [k for k in self.holder if k not in self.copy]:
                del self.holder[key]
            for key in [k for k in self.copy if self.differs(k)]:
                self.holder[key] = self.copy[key]
        elif isinstance(self.holder, set):
            self.holder.clear()
            self.holder.update(self.copy)
        else:
            self.holder.clear()
            self.holder.extend(self.copy)


class SlotsBefore(Before):
    """What attributes that lie in no dictionary held."""

    def __init__(self, thing: Any, place: Place | None, title: str, names: list[str]) -> None:
        self.holder, self.place, self.title, self.owner = thing, place, title, None
        self.copy = {name: getattr(thing, name, MISSING) for name in names}
        self.assigned = set()

    def _pair(self, key: Any) -> tuple[Any, Any]:
        return (self.copy[key], getattr(self.holder, key, MISSING)) if key in self.copy else (None, None)

    def changed(self) -> bool:
        """Whether any of them holds something else."""
        return any(map(self.differs, self.copy))

    def has_grown(self) -> bool:
        """They are always the same ones."""
        return False

    def writes(self) -> list[Write]:
        """Those that hold something else."""
        names = [name for name in self.copy if self.wrote(name)]
        if any(not hasattr(self.holder, name) for name in names):
            raise TraceError(_TAKEN_OUT.format(self.title, type(self.holder).__name__))
        return [(self.at(name), getattr(self.holder, name)) for name in names]

    def at(self, key: Any) -> Place:
        """The place of one of them."""
        return Place(self.holder, "attribute", key, f"{self.title}.{key}", self.place)

    def restore(self) -> None:
        """Put back what they held."""
        for name, value in self.copy.items():
            if self.differs(name):
                delattr(self.holder, name) if value is MISSING else setattr(self.holder, name, value)


class VariableBefore(Before):
    """What a global variable, or one of an enclosing function, held."""

    def __init__(self, place: Place) -> None:
        self.holder, self.place, self.title, self.owner = place.holder, place, place.title, None
        self.variable = place
        self.copy = self._now()
        self.assigned = set()

    def _now(self) -> Any:
        try:
            get, key = self.variable.getter()
            return get(key)
        except GONE:
            return MISSING

    def _pair(self, key: Any) -> tuple[Any, Any]:
        return (self.copy, self._now()) if key == self.variable.key else (None, None)

    def changed(self) -> bool:
        """Whether it holds something else."""
        return self._now() is not self.copy

    def has_grown(self) -> bool:
        """It is one thing."""
        return False

    def writes(self) -> list[Write]:
        """The variable, if it holds something else."""
        now = self._now()
        if now is MISSING and self.changed():
            raise TraceError(_TAKEN_OUT.format(self.title, "namespace"))
        return [(self.variable, now)] if now is not self.copy else []

    def restore(self) -> None:
        """Put back what it held."""
        if not self.changed():
            return
        if self.copy is not MISSING:
            self.variable.write(self.copy, ())
        elif self.variable.how == "entry":
            del self.holder[self.variable.key]
        else:
            del self.holder.cell_contents
