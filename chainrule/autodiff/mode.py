"""Recording on and off: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`, for the current thread."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any, Self, TypeVar

from chainrule.state import current_state

F = TypeVar("F", bound=Callable[..., Any])


def _runs_in(make_mode: Callable[[], GradientMode], function: F) -> F:
    """The function with its body run in a mode: at each call; a generator's between its `yield`s, step by step."""
    if not inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def in_mode(*args: Any, **kwargs: Any) -> Any:
            with make_mode():
                return function(*args, **kwargs)

        return in_mode  # type: ignore[return-value]

    @functools.wraps(function)
    def steps_in_mode(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = function(*args, **kwargs)  # this runs nothing of the body yet
        step, received = steps.send, None
        while True:
            try:
                with make_mode():
                    given = step(received)
            except StopIteration as end:
                return end.value
            try:  # whoever takes what was given goes on in a mode of their own
                step, received = steps.send, (yield given)
            except GeneratorExit:
                with make_mode():
                    steps.close()
                raise
            except BaseException as error:
                step, received = steps.throw, error

    return steps_in_mode  # type: ignore[return-value]


class GradientMode:
    """A context manager and decorator that switches the recording of operations."""

    recording: bool = False

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> Self:
        state = current_state()
        self._before.append(state.gradients)
        state.gradients = self.recording
        return self

    def __exit__(self, *exception: object) -> None:
        current_state().gradients = self._before.pop()

    def __call__(self, function: F) -> F:
        """Use as a decorator: the function runs in this mode; a generator in each of its steps."""
        return _runs_in(type(self), function)


class _AlsoBare(GradientMode):
    """A mode that also decorates without parentheses: `@no_grad`."""

    def __new__(cls, orig_func: Any = None) -> Any:
        """The mode; given a function, at once that function in the mode."""
        mode = super().__new__(cls)
        if orig_func is None:
            return mode
        mode.__init__()  # type: ignore[misc]
        return mode(orig_func)


class no_grad(_AlsoBare):  # noqa: N801  (PyTorch's name)
    """Nothing is recorded within: for evaluation, and for updates of parameters.

    >>> import chainrule
    >>> x = chainrule.ones(1, requires_grad=True)
    >>> with chainrule.no_grad():
    ...     (x * 2).requires_grad
    False
    """


class enable_grad(_AlsoBare):  # noqa: N801
    """Operations are recorded within, also inside of `no_grad`."""

    recording = True


def inference_mode(mode: Any = True) -> Any:
    """As `no_grad`: PyTorch's is faster than its `no_grad`, here nothing is left to save. With False, `enable_grad`.

    >>> import chainrule
    >>> with chainrule.inference_mode():
    ...     chainrule.is_grad_enabled()
    False
    """
    if isinstance(mode, bool):
        return no_grad() if mode else enable_grad()
    return no_grad(mode)  # `@inference_mode` without parentheses


class set_grad_enabled(GradientMode):  # noqa: N801
    """Recording switched on or off at once, and back again at the end of a `with` block.

    >>> import chainrule
    >>> with chainrule.set_grad_enabled(False):
    ...     chainrule.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        state = current_state()
        self._before = [state.gradients]
        state.gradients = self.recording = bool(mode)

    def __enter__(self) -> Self:
        return self

    def __call__(self, function: F) -> F:
        """Use as a decorator; the mode of the moment is restored at once."""
        wanted = self.recording
        current_state().gradients = self._before[-1]
        return _runs_in(lambda: set_grad_enabled(wanted), function)


def is_grad_enabled() -> bool:
    """Whether operations are recorded now, in this thread."""
    return current_state().gradients
