"""Apple's GPUs, which are not used."""

__all__ = ["is_available", "is_built"]


def is_available() -> bool:
    """False: chainrule computes on the CPU."""
    return False


def is_built() -> bool:
    """False: there is no code for such GPUs."""
    return False
