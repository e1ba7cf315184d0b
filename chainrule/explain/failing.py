"""A computation that failed: which operation, in which module, what came and what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from types import FrameType
from typing import Any

from chainrule.cell import TensorCell
from chainrule.explain.naming import Names
from chainrule.explain.page.settings import plain
from chainrule.explain.recording import Recording
from chainrule.nn.module import Module
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import users_line
from chainrule.primitives.value import Symbol


class Failure:
    """What is known of the operation that raised an error.

    Attributes:
        error: what was raised.
        operation: the primitive, function or module that raised it.
        path, module: the path and the class of the module that was running.
        inputs: the symbols of the tensors that came.
        settings: the settings of the primitive.
        line: the file and the line of the user's code.
    """

    def __init__(self, error: Exception, recording: Recording, names: Names) -> None:
        self.error = error
        self.operation = type(error).__name__
        self.path = self.module = self.formula = ""
        self.settings: dict[str, Any] = {}
        self.line: tuple[str, int] | None = None
        tensors: Sequence[Any] = ()
        for frame in _frames(error):
            here, code = frame.f_locals, frame.f_code
            owner = here.get("self")
            if isinstance(owner, Module) and code.co_name == "forward":
                self.module, self.operation = type(owner).__name__, type(owner).__name__
                self.path = names.paths.get(id(owner), self.path)
                tensors = _tensors(here)
            elif code is _APPLY:
                self.operation, self.formula = here["cls"].name, here["cls"].latex
                self.settings, tensors = here["parameters"], here["inputs"]
            elif _is_ours(frame) and _tensors(here) and not code.co_name.startswith(("_", "<", "check_")):
                self.operation, tensors = code.co_name, _tensors(here)
            if not _is_ours(frame):
                self.line = code.co_filename, _line_in(error, frame)
        self.inputs: list[Symbol] = [recording.symbol(x.value) for x in tensors]
        self._forms = [f"{str(x.dtype).removeprefix('chainrule.')} {list(x.shape)}" for x in tensors]

    def node(self, name: str, inputs: list[str], group: str | None) -> dict[str, Any]:
        """The failing operation as data."""
        return {
            "id": name,
            "operation": self.operation,
            "formula": self.formula,
            "arguments": [],
            "substituted": None,
            "settings": {key: plain(value) for key, value in self.settings.items()},
            "inputs": inputs,
            "outputs": [],
            "group": group,
            "path": self.path,
            "line": list(self.line) if self.line else None,
            "contributions": [None] * len(inputs),
            "kernel": None,
            "failed": {"came": self.came, "expected": self.expected, "message": str(self.error)},
        }

    @property
    def came(self) -> str:
        """The types and shapes of the tensors that came."""
        return ", ".join(self._forms) or "no tensors"

    @property
    def expected(self) -> str:
        """The part of the message that says what would have been right, or all of it."""
        return str(self.error).partition("\n")[0]


_APPLY = Primitive.apply.__func__.__code__  # type: ignore[attr-defined]


def _frames(error: Exception) -> list[FrameType]:
    """The frames that the error came through, the innermost last."""
    frames, traceback = [], error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


def _line_in(error: Exception, frame: FrameType) -> int:
    traceback = error.__traceback__
    line = frame.f_lineno
    while traceback is not None:
        if traceback.tb_frame is frame:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS)


_OURS = users_line.__code__.co_filename.rpartition("primitives")[0]


def _tensors(here: dict[str, Any]) -> list[Any]:
    """The tensors among a function's arguments and fields."""
    found = {id(x): x for name, x in here.items() if isinstance(x, TensorCell) and name != "self"}
    return list(found.values())[:4]
