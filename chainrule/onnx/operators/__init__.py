"""What ONNX's operators do: a file for each kind."""

from chainrule.onnx.operators import arithmetic, control, networks, recurrent, shapes
from chainrule.onnx.operators.numbers import NUMBERS
from chainrule.onnx.operators.registry import OPERATORS, Running, Step, as_tensor

__all__ = [
    "NUMBERS",
    "OPERATORS",
    "Running",
    "Step",
    "arithmetic",
    "as_tensor",
    "control",
    "networks",
    "recurrent",
    "shapes",
]
