"""PyTorch's namespace for Intel's GPUs: there are none either, so it answers as `chainrule.mps` does."""

from chainrule.mps import device_count, empty_cache, is_available, manual_seed

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = ["device_count", "empty_cache", "is_available", "manual_seed"]
