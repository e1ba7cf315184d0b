"""NVIDIA's library of layers, which is not used. Scripts may set its switches; they change nothing."""

__all__ = ["allow_tf32", "benchmark", "deterministic", "enabled", "is_available", "version"]

enabled = False
benchmark = False
deterministic = True
allow_tf32 = False


def is_available() -> bool:
    """False: chainrule computes on the CPU."""
    return False


def version() -> None:
    """None: the library is not there."""
