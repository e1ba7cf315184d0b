"""The compiler: a traced step becomes one native program. docs/compiler.md follows a network through it."""

from collections.abc import Callable
from typing import TypeVar

from chainrule.absent_names import teller
from chainrule.state import current_state

F = TypeVar("F", bound=Callable[..., object])

__getattr__ = teller("compiler", globals())


def is_compiling() -> bool:
    """Whether a step is being traced, so that its tensors have no numbers to look at.

    >>> import chainrule
    >>> is_compiling(), chainrule.compile(lambda x: x + is_compiling())(chainrule.zeros(1))
    (False, tensor([1.]))
    """
    return current_state().trace is not None


def allow_in_graph(fn: F) -> F:
    """The function as it is: whatever a compiled step calls is a part of its program.

    >>> import chainrule
    >>> allow_in_graph(chainrule.relu) is chainrule.relu
    True
    """
    return fn
