"""Exact and fast: one switch of ours, and PyTorch's.

PyTorch's switch nothing: results are repeatable, and products of float32 stay products of float32.
"""

from __future__ import annotations

_exact = False


def use_exact_arithmetic(mode: bool) -> None:
    """Whether compiled functions and large operations compute by the plain formulas where there is a faster way.

    A faster way adds up in another order, or leaves out what is too small. There are three. Processors with AVX512-BF16
    multiply bfloat16 in pairs, those with AMX by a unit of its own, which rounds in another order and takes numbers
    below 2⁻¹²⁶ as 0; the error has the same bound. With exact arithmetic factors are widened to float32 and added up
    one after the other, as on every other processor, which takes two to five times as long. And convolutions of float32
    with a kernel of 3×3 and stride 1, and their gradients, are done by Winograd's algorithm where that is faster: over
    real layers the error is 0.3 to 1.4 times the plain sum's, but it is in proportion to the numbers in 4×4
    neighbouring pixels instead of 3×3, so where a kernel meets zeros only, beside others, the result is about 10⁻⁷ of
    these instead of 0. With exact arithmetic it is the plain sum. And where there is AMX, large products of float32 are
    sums of products of bfloat16, three for each factor: the error is smaller than the plain sum's, but another.
    `chainrule.compile(…, exact=True)` asks it for one function.

    Without `compile` it matters to products and convolutions so large that they run as programs of their own.

    It holds for the whole process, and for functions that are compiled already: their next call makes a program.

    >>> use_exact_arithmetic(True)
    >>> is_exact_arithmetic_enabled()
    True
    >>> use_exact_arithmetic(False)
    """
    global _exact
    _exact = bool(mode)


def is_exact_arithmetic_enabled() -> bool:
    """What :func:`use_exact_arithmetic` has set; False at first.

    >>> is_exact_arithmetic_enabled()
    False
    """
    return _exact


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing: the same program gives the same numbers always, also with another number of threads."""


def are_deterministic_algorithms_enabled() -> bool:
    """True.

    >>> are_deterministic_algorithms_enabled()
    True
    """
    return True


def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of float32 to be less exact: "highest", "high" or "medium". They stay exact here."""
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f'the precision is "highest", "high" or "medium", got {precision!r}.')


def get_float32_matmul_precision() -> str:
    """How exact products of float32 are: "highest"."""
    return "highest"
