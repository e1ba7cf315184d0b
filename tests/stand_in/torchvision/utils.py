"""Pictures side by side."""

import torch


def make_grid(images, nrow=8, padding=2, pad_value=0.0):
    """Each picture copied to its place."""
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    rows = -(-count // columns)
    size = (channels, rows * (height + padding) + padding, columns * (width + padding) + padding)
    grid = torch.full(size, pad_value)
    for i, image in enumerate(images):
        top = (i // columns) * (height + padding) + padding
        left = (i % columns) * (width + padding) + padding
        grid[:, top : top + height, left : left + width] = image
    return grid
