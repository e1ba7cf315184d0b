"""A number as digits: which place along each of several axes a row is, where the rows of all of them are counted.

A division takes a processor some ten times as long as an addition. So only the first number of a loop is divided; from
there on the digits are counted like those of a mileometer: the last one goes up by one, and each that has reached its
base starts at 0 again and takes the one before it along.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.backends.native.language.code import Code


def digits_of(code: Code, number: str, bases: Sequence[str]) -> list[str]:
    """A number as mixed-radix digits, the last one counting fastest; the first has no base, as nothing is before it."""
    answer = []
    for base in reversed(bases):
        answer.append(code.op(f"urem i64 {number}, {base}"))
        number = code.op(f"udiv i64 {number}, {base}")
    return [number, *reversed(answer)]


def next_digits(code: Code, digits: Sequence[str], bases: Sequence[str], step: str = "1") -> list[str]:
    """The digits of the next number; of the same one if `step` is 0."""
    answer = []
    for digit, base in zip(reversed(digits[1:]), reversed(bases), strict=True):
        digit = code.op(f"add i64 {digit}, {step}")
        full = code.op(f"icmp eq i64 {digit}, {base}")
        answer.append(code.op(f"select i1 {full}, i64 0, i64 {digit}"))
        step = code.op(f"zext i1 {full} to i64")
    return [code.op(f"add i64 {digits[0]}, {step}"), *reversed(answer)]
