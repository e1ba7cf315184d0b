"""What can go wrong, by kind: every error says where it happened, what came, what was expected and the likely mend.

All are :class:`ChainruleError`; each is also the built-in exception that it refines, so that code written for
PyTorch or NumPy catches it where it always did.
"""

from __future__ import annotations

from chainrule.state import describe_place


class ChainruleError(Exception):
    """The root of all errors that chainrule raises on purpose.

    The path of the module that was running is put in front of the message, if one was.

    >>> try:
    ...     raise ChainruleError("nothing to do")
    ... except ChainruleError as error:
    ...     print(error)
    nothing to do
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(describe_place() + message)


class ShapeError(ChainruleError, ValueError, RuntimeError):
    """Shapes do not fit together. PyTorch raises `RuntimeError` here and NumPy `ValueError`: this is both."""


class DTypeError(ChainruleError, TypeError, RuntimeError):
    """A data type does not fit the operation, for instance float labels where class indices are expected."""


class GradientError(ChainruleError, RuntimeError):
    """A derivative was asked for that does not exist, or no longer: backward twice, a non-scalar loss, and so on."""


class EvaluationWarning(UserWarning):
    """A model is used without gradients, as for evaluation, while it is in training mode."""


class TraceError(ChainruleError, RuntimeError):
    """A value was asked for while only shapes are known (inside `scan` bodies and compiled functions)."""


class StaleError(TraceError):
    """A compiled function computes something else than its program, and nothing that could be watched has changed."""


class DataError(ChainruleError, ValueError):
    """A file or a data set is not what it claims to be. The message names the file and the place in it."""


class CheckpointError(ChainruleError, RuntimeError):
    """Saved weights do not fit the model: missing, unexpected or wrongly shaped entries, or a damaged file."""


class DeviceError(ChainruleError, ValueError, RuntimeError):
    """Tensors are asked to be on a device that is not there, or meet on different ones."""


class IndexRangeError(ChainruleError, IndexError):
    """An index or a dimension lies outside its range."""


class NumberRangeError(ChainruleError, OverflowError, ValueError, RuntimeError):
    """A number lies outside of what a data type holds or a setting means. PyTorch raises `RuntimeError` here."""


class SparseError(ChainruleError, RuntimeError, TypeError):
    """Something that is not possible with a sparse tensor, or not in its layout."""


class NoForwardError(ChainruleError, NotImplementedError):
    """A module was called whose class does not say what it computes."""


class SetUpError(ChainruleError, AttributeError):
    """A module was used before its `super().__init__()`."""


class AbsentNameError(ChainruleError, ImportError):
    """A module of PyTorch's that is not here is imported; the message says what to use instead."""

    def __init__(self, message: str = "", *, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class DivergedError(ChainruleError, FloatingPointError):
    """The loss is no longer a finite number."""
