"""Elementwise primitives."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.onnx.errors import OnnxError
from chainrule.onnx.rules.operands import operands
from chainrule.onnx.rules.registry import primitive

#: What is one operator in ONNX too.
_SAME = {
    "Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "Maximum": "Max", "Minimum": "Min",
    "Negate": "Neg", "Exp": "Exp", "Log": "Log", "Sqrt": "Sqrt", "Sin": "Sin", "Cos": "Cos", "Arcsin": "Asin",
    "Arctan": "Atan", "Tanh": "Tanh", "Erf": "Erf", "Absolute": "Abs", "Sign": "Sign", "Where": "Where",
    "Power": "Pow",
}  # fmt: skip
_TRUTHS = {"Add": "Or", "Multiply": "And", "Maximum": "Or", "Minimum": "And"}


@primitive(*_SAME)
def same(g: Any, e: Any) -> str:
    """The operator of the same meaning; of booleans the logical one."""
    name = e.primitive.name
    if g.dtype(e.inputs[0]) == np.bool_ and name in _TRUTHS:
        return str(g.emit(_TRUTHS[name], operands(g, e)))
    if name == "Where" and g.dtype(e.outputs[0]) == np.bool_:  # onnxruntime chooses among numbers only
        condition, x, y = operands(g, e)
        chosen, other = g.emit("And", [condition, x]), g.emit("And", [g.emit("Not", [condition]), y])
        return str(g.emit("Or", [chosen, other]))
    return str(g.emit(_SAME[name], operands(g, e)))


@primitive("Floor", "Round")
def to_whole(g: Any, e: Any) -> str:
    """Whole numbers are it already."""
    x = e.inputs[0]
    if g.dtype(x).kind in "iub":
        return str(g.of(x))
    return str(g.emit(e.primitive.name, [g.of(x)]))


@primitive("FloorDivide")
def floor_divide(g: Any, e: Any) -> str:
    """⌊x / y⌋. Division of whole numbers goes towards zero in ONNX: one less where the signs differ and a rest is."""
    x, y = operands(g, e)
    dtype = g.dtype(e.inputs[0])
    if dtype.kind not in "iu":
        return str(g.emit("Floor", [g.emit("Div", [x, y])]))
    rest = g.emit("Mod", [x, y])
    return str(g.emit("Div", [g.emit("Sub", [x, rest]), y]))


@primitive("Remainder")
def remainder(g: Any, e: Any) -> str:
    """What is left, with the sign of the divisor."""
    x, y = operands(g, e)
    if g.dtype(e.inputs[0]).kind in "iu":
        return str(g.emit("Mod", [x, y]))
    whole = g.emit("Floor", [g.emit("Div", [x, y])])
    return str(g.emit("Sub", [x, g.emit("Mul", [whole, y])]))


@primitive("Equal", "Less", "LessEqual")
def compare(g: Any, e: Any) -> str:
    """Comparisons; of booleans in order as numbers."""
    names = {"Equal": "Equal", "Less": "Less", "LessEqual": "LessOrEqual"}
    given = operands(g, e)
    if e.primitive.name != "Equal" and g.dtype(e.inputs[0]) == np.bool_:
        given = [g.cast(x, np.int32) for x in given]
    return str(g.emit(names[e.primitive.name], given))


@primitive("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot")
def bits(g: Any, e: Any) -> str:
    """Logical ones of booleans; of whole numbers since version 18."""
    name = e.primitive.name
    if g.dtype(e.inputs[0]) == np.bool_:
        return str(g.emit(name.removeprefix("Bitwise"), operands(g, e)))
    if g.opset < 18:
        raise OnnxError("operations on bits of whole numbers need opset 18")
    return str(g.emit(name, operands(g, e)))


@primitive("LeftShift", "RightShift")
def shift(g: Any, e: Any) -> str:
    """x · 2ʸ and ⌊x / 2ʸ⌋, as multiplication and division: ONNX shifts numbers without a sign only."""
    x, y = operands(g, e)
    dtype = g.dtype(e.inputs[0])
    power = g.cast(g.emit("Pow", [g.constant(np.array(2, np.int64)), g.cast(y, np.int64)]), dtype)
    if e.primitive.name == "LeftShift":
        return str(g.emit("Mul", [x, power]))
    return str(g.emit("Div", [g.emit("Sub", [x, g.emit("Mod", [x, power])]), power]))


@primitive("Rsqrt")
def rsqrt(g: Any, e: Any) -> str:
    """1/√x."""
    return str(g.emit("Reciprocal", [g.emit("Sqrt", [g.of(e.inputs[0])])]))


@primitive("Expm1")
def expm1(g: Any, e: Any) -> str:
    """eˣ − 1 as 2·sinh(x/2)·e^(x/2), which is exact near 0; −1 and ∞ far away, where that is 0·∞ or ∞·0."""
    x = g.of(e.inputs[0])
    dtype = g.dtype(e.inputs[0])
    half = g.emit("Mul", [x, g.constant(np.array(0.5, dtype))])
    near = g.emit("Mul", [g.emit("Sinh", [half]), g.emit("Exp", [half])])
    near = g.emit("Add", [near, near])
    far = g.emit("Sub", [g.emit("Exp", [x]), g.constant(np.array(1, dtype))])
    small = g.emit("Less", [g.emit("Abs", [x]), g.constant(np.array(1, dtype))])
    return str(g.emit("Where", [small, near, far]))


@primitive("Log1p")
def log1p(g: Any, e: Any) -> str:
    """log(1 + x) as log u · x/(u − 1) with u = 1 + x rounded, which takes the rounding out again; x where u is 1.

    Source: Kahan, in Hewlett-Packard's manual of the HP-15C, 1982.
    """
    x = g.of(e.inputs[0])
    one = g.constant(np.array(1, g.dtype(e.inputs[0])))
    u = g.emit("Add", [x, one])
    lost = g.emit("Sub", [u, one])
    plain = g.emit("Log", [u])
    safe = g.emit("Where", [g.emit("Equal", [lost, g.emit("Sub", [one, one])]), one, lost])
    exact = g.emit("Mul", [plain, g.emit("Div", [x, safe])])
    tiny = g.emit("Equal", [u, one])
    large = g.emit("Greater", [x, one])
    return str(g.emit("Where", [tiny, x, g.emit("Where", [large, plain, exact])]))


@primitive("Erfc")
def erfc(g: Any, e: Any) -> str:
    """1 − erf x."""
    one = g.constant(np.array(1, g.dtype(e.inputs[0])))
    return str(g.emit("Sub", [one, g.emit("Erf", [g.of(e.inputs[0])])]))


@primitive("Arctan2")
def arctan2(g: Any, e: Any) -> str:
    """The angle of (x, y): atan(y/x), a half turn further where x is negative, and ±π/2 where it is 0."""
    y, x = operands(g, e)
    dtype = g.dtype(e.inputs[0])
    zero, one = g.constant(np.array(0, dtype)), g.constant(np.array(1, dtype))
    pi = g.constant(np.array(np.pi, dtype))
    side = g.emit("Where", [g.emit("Less", [y, zero]), g.emit("Neg", [one]), one])
    upright = g.emit("Equal", [x, zero])
    angle = g.emit("Atan", [g.emit("Div", [y, g.emit("Where", [upright, one, x])])])
    turned = g.emit("Where", [g.emit("Less", [x, zero]), g.emit("Add", [angle, g.emit("Mul", [side, pi])]), angle])
    quarter = g.emit("Mul", [g.emit("Mul", [side, pi]), g.constant(np.array(0.5, dtype))])
    quarter = g.emit("Where", [g.emit("Equal", [y, zero]), y, quarter])
    return str(g.emit("Where", [upright, quarter, turned]))


@primitive("Cast")
def cast(g: Any, e: Any) -> str:
    """Another data type."""
    return str(g.cast(g.of(e.inputs[0]), e.parameters["dtype"]))


@primitive("Check")
def check(g: Any, e: Any) -> None:
    """Nothing: what reads the file refuses wrong places itself, and has no word for our other checks."""
