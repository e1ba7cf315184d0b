"""NVIDIA's GPUs, which are not used. `matmul.allow_tf32` may be set and changes nothing."""

from types import SimpleNamespace

__all__ = ["is_built", "matmul"]

matmul = SimpleNamespace(allow_tf32=False)


def is_built() -> bool:
    """False: there is no code for such GPUs."""
    return False
