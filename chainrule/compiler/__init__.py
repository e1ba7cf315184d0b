"""The compiler: a traced step becomes one native program. docs/compiler.md follows a network through it."""

from chainrule.absent_names import teller
from chainrule.state import current_state

__getattr__ = teller("compiler", globals())


def is_compiling() -> bool:
    """Whether a step is being traced, so that its tensors have no numbers to look at.

    >>> import chainrule
    >>> is_compiling(), chainrule.compile(lambda x: x + is_compiling())(chainrule.zeros(1))
    (False, tensor([1.]))
    """
    return current_state().trace is not None
