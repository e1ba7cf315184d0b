"""Pictures to tensors, and tensors to the scale of training."""

import numpy as np
import torch


class Compose:
    """One transform after the other."""

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, image):
        for transform in self.transforms:
            image = transform(image)
        return image


class ToTensor:
    """(H, W) or (H, W, C) bytes to (C, H, W) in [0, 1]."""

    def __call__(self, picture):
        array = np.array(picture)
        array = array[:, :, None] if array.ndim == 2 else array
        return torch.from_numpy(array.transpose(2, 0, 1).copy()).to(torch.get_default_dtype()) / 255


class Normalize:
    """(x - mean) / std of each channel."""

    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def __call__(self, image):
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        return (image - mean[:, None, None]) / std[:, None, None]


class Lambda:
    """A function as a transform."""

    def __init__(self, lambd):
        self.lambd = lambd

    def __call__(self, thing):
        return self.lambd(thing)


class Grayscale:
    """Pillow's grey picture."""

    def __call__(self, picture):
        return picture.convert("L")
