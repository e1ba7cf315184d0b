"""Pictures side by side in one, and tensors as files of pictures: PyTorch-vision's `utils`."""

from chainrule.data.grid import make_grid, save_image

__all__ = ["make_grid", "save_image"]
