"""Elementwise primitives of whole numbers: bits shifted, common divisors and multiples. They have no gradient."""

from __future__ import annotations

import numpy as np

from chainrule.primitives.kinds import Binary


class LeftShift(Binary):
    """z = x · 2ʸ: the bits moved to the left, zeros from the right; 0 if y is no number of bits of the type."""

    latex = r"x \cdot 2^y"
    evaluate = np.left_shift


class RightShift(Binary):
    """z = ⌊x / 2ʸ⌋: the bits moved to the right."""

    latex = r"\lfloor x / 2^y \rfloor"
    evaluate = np.right_shift


class GreatestDivisor(Binary):
    """z = the greatest common divisor of |x| and |y|."""

    latex = r"\gcd(x, y)"
    evaluate = np.gcd


class LeastMultiple(Binary):
    """z = the least common multiple of |x| and |y|."""

    latex = r"\operatorname{lcm}(x, y)"
    evaluate = np.lcm
