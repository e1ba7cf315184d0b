"""What to say when traced code asks for numbers that are not there: which function asked, and what to write instead."""

from __future__ import annotations

import sys
from typing import Any

_SIZE = "How large its result is depends on the numbers, and a compiled program has one size for each tensor"
_READ = "Return the tensor and read its numbers outside of the traced function."
_OUTSIDE = "call it outside of the traced function and pass the result in as an argument"

#: For the name of a function, what to do instead.
INSTEAD: dict[str, str] = {
    **dict.fromkeys(("item", "numpy", "tolist", "__array__", "__format__", "__repr__", "__index__"), _READ),
    **dict.fromkeys(("__int__", "__float__"), _READ),
    "__bool__": (
        "Use `where` instead of a Python branch on a tensor's value, and read numbers (`item`, `numpy`, `tolist`, "
        "print) outside of the traced function."
    ),
    "allclose": "Compare entry by entry, as in (a - b).abs().amax(), and return the result.",
    "equal": "Compare entry by entry, as in (a == b).all(), and return the result.",
    "nonzero": f"{_SIZE}: use the condition itself, with where or as a factor, or {_OUTSIDE}.",
    "argwhere": f"{_SIZE}: use the condition itself, with where or as a factor, or {_OUTSIDE}.",
    "masked_select": f"{_SIZE}: keep all entries, where(mask, x, 0), or {_OUTSIDE}.",
    "unique": f"{_SIZE}: {_OUTSIDE}.",
    "unique_consecutive": f"{_SIZE}: {_OUTSIDE}.",
    "repeat_interleave": f"{_SIZE}: repeat by a Python number, or use index_select with places made outside.",
    "one_hot": "Give it num_classes: otherwise the largest label decides how large the result is.",
    "bincount": "Give it a minlength that is enough for all runs: otherwise the largest number decides the size.",
}  # fmt: skip
#: How numbers are read: if one of chainrule's functions does it, that function is the one to name.
_READERS = {
    "__bool__": "a Python branch (if, while, and, or)", "__array__": "numpy()", "__index__": "use as a Python index",
    "__int__": "int()", "__float__": "float()", "__format__": "formatting", "__repr__": "printing", "item": "item()",
    "numpy": "numpy()", "tolist": "tolist()",
}  # fmt: skip
#: Where the question is only passed on.
_PASSED_ON = (
    "chainrule.cell.cell",
    "chainrule.cell.gradient",
    "chainrule.primitives.trace",
    "chainrule.primitives.refusal",
)
#: What stands between the user's code and what it calls, while a step is traced.
_BETWEEN = ("chainrule.compiler.readers", "chainrule.compiler.calls")


def asking() -> tuple[str, str]:
    """The function of chainrule that asks for numbers: as the table above knows it, and as users do."""
    frame: Any = sys._getframe(1)
    reader = ""
    while frame is not None and frame.f_globals.get("__name__", "").startswith("chainrule."):
        name = frame.f_code.co_name
        if frame.f_globals["__name__"] in _BETWEEN:
            break
        if name in _READERS:
            reader = reader or name
        elif name[0] not in "_<" and frame.f_globals["__name__"] not in _PASSED_ON:
            owner = type(frame.f_locals.get("self")).__name__
            return name, name if owner in ("NoneType", "Tensor", "Parameter") else f"{owner}.{name}"
        frame = frame.f_back
    return reader, _READERS.get(reader, "this operation")


def refusal(purpose: str = "") -> str:
    """The text of the error: who needs numbers, why there are none, and the way out."""
    name, known_as = asking()
    default = f"{_OUTSIDE[0].upper()}{_OUTSIDE[1:]}."
    return (
        f"{purpose or known_as} needs the numbers of a tensor, but this code is only being traced: its tensors have "
        f"shapes and data types, no entries. {INSTEAD.get(name, default)}"
    )
