"""Two numbers of 4 bits in a byte, as whole numbers of 32 bits in registers; see `primitives/low_bits.py`."""

from __future__ import annotations

from chainrule.backends.native.language.code import Code, Lanes

#: Operations on bytes within a nest: the lower and the upper number.
FOURS = ("LowerFour", "UpperFour")


def four(code: Code, op: str, lanes: int, byte: str) -> str:
    """The lower number of each byte, to which 8 was added, or the upper one, as i32."""
    small, whole = Lanes("i8", lanes), Lanes("i32", lanes)
    if op == "UpperFour":
        wide = code.op(f"sext {small.text} {byte} to {whole.text}")
        return code.op(f"ashr {whole.text} {wide}, {whole.splat(4)}")
    lower = code.op(f"and {small.text} {byte}, {small.splat(15)}")
    lower = code.op(f"sub {small.text} {lower}, {small.splat(8)}")
    return code.op(f"sext {small.text} {lower} to {whole.text}")
