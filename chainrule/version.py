"""Which chainrule this is. Scripts ask PyTorch's module of this name for GPUs' libraries: there are none."""

__all__ = ["__version__", "cuda", "hip", "xpu"]

__version__ = "0.1.0"

cuda = None
hip = None
xpu = None
