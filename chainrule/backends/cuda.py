"""NVIDIA's GPUs, which are not used: what programs set here may be set and read, and changes nothing.

>>> enable_flash_sdp(False); flash_sdp_enabled()
False
>>> enable_flash_sdp(True)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

__all__ = [
    "cudnn_sdp_enabled",
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "is_built",
    "is_flash_attention_available",
    "math_sdp_enabled",
    "matmul",
    "mem_efficient_sdp_enabled",
    "sdp_kernel",
]

matmul = SimpleNamespace(
    allow_tf32=False, allow_fp16_reduced_precision_reduction=True, allow_bf16_reduced_precision_reduction=True
)

#: PyTorch's ways to compute attention, and whether a program wants them. Here there is one way.
_wanted = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def is_built() -> bool:
    """False: there is no code for such GPUs."""
    return False


def is_flash_attention_available() -> bool:
    """False: attention is computed by tiles on every device, and never by that library.

    >>> is_flash_attention_available()
    False
    """
    return False


def enable_flash_sdp(enabled: bool) -> None:
    """Note whether "flash" is wanted; it changes nothing."""
    _wanted["flash"] = bool(enabled)


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Note whether "mem_efficient" is wanted; it changes nothing."""
    _wanted["mem_efficient"] = bool(enabled)


def enable_math_sdp(enabled: bool) -> None:
    """Note whether "math" is wanted; it changes nothing."""
    _wanted["math"] = bool(enabled)


def enable_cudnn_sdp(enabled: bool) -> None:
    """Note whether "cudnn" is wanted; it changes nothing."""
    _wanted["cudnn"] = bool(enabled)


def flash_sdp_enabled() -> bool:
    """What `enable_flash_sdp` was given last."""
    return _wanted["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """What `enable_mem_efficient_sdp` was given last."""
    return _wanted["mem_efficient"]


def math_sdp_enabled() -> bool:
    """What `enable_math_sdp` was given last."""
    return _wanted["math"]


def cudnn_sdp_enabled() -> bool:
    """What `enable_cudnn_sdp` was given last."""
    return _wanted["cudnn"]


@contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> Iterator[None]:
    """The older word for `nn.attention.sdpa_kernel`: within the block nothing changes but what the four above answer.

    >>> with sdp_kernel(enable_flash=False):
    ...     flash_sdp_enabled()
    False
    """
    before = dict(_wanted)
    _wanted.update(flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn)
    try:
        yield
    finally:
        _wanted.update(before)
