"""PyTorch's switches between exact and fast. Nothing is switched: results are repeatable and float32 stays float32."""

from __future__ import annotations


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
