"""Pictures side by side, and tensors as files of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chainrule as cr
from chainrule.vision import utils


def placed(images: np.ndarray, nrow: int, padding: int, value: float) -> np.ndarray:
    """A grid by copying each picture to its place."""
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    rows = -(-count // columns)
    size = (channels, rows * (height + padding) + padding, columns * (width + padding) + padding)
    grid = np.full(size, value, images.dtype)
    for i, image in enumerate(images):
        top = (i // columns) * (height + padding) + padding
        left = (i % columns) * (width + padding) + padding
        grid[:, top : top + height, left : left + width] = image
    return grid


@pytest.mark.parametrize("count", [2, 3, 4, 7])
@pytest.mark.parametrize(("nrow", "padding", "value"), [(8, 2, 0.0), (3, 0, 0.0), (2, 1, 0.5), (1, 3, 1.0)])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_grid(count: int, nrow: int, padding: int, value: float, dtype: str) -> None:
    images = np.random.default_rng(count).integers(0, 256, (count, 3, 4, 5)).astype(dtype)
    grid = utils.make_grid(cr.from_numpy(images), nrow=nrow, padding=padding, pad_value=value)
    np.testing.assert_array_equal(grid.numpy(), placed(images, nrow, padding, value))


def test_shapes_and_channels() -> None:
    grey = cr.rand(4, 6)
    for single in (grey, grey[None], grey[None, None], [grey[None]]):
        np.testing.assert_array_equal(utils.make_grid(single), grey.expand(3, 4, 6))
    np.testing.assert_array_equal(utils.make_grid([grey[None]] * 2)[1, 2:-2, 2:8], grey)
    with pytest.raises(cr.errors.ShapeError, match=r"\(3,\)"):
        utils.make_grid(cr.ones(3))


def test_numbers_are_brought_to_0_and_1() -> None:
    x = cr.tensor([[-1.0, 0.0], [1.0, 3.0]]).reshape(2, 1, 1, 2).expand(2, 3, 1, 2)
    expected = {
        "all": ({}, [0, 0.25, 0.5, 1]),
        "each": ({"scale_each": True}, [0, 1, 0, 1]),
        "range": ({"value_range": (-1, 1)}, [0, 0.5, 1, 1]),
    }
    for options, numbers in expected.values():
        grid = utils.make_grid(x, padding=0, normalize=True, **options)
        np.testing.assert_allclose(grid[0].flatten(), numbers)
    assert utils.make_grid(cr.full((2, 3, 2, 2), 7.0), normalize=True).abs().max() == 0
    assert x.min() == -1, "what is given stays as it is"


def test_a_file(tmp_path: Path) -> None:
    x = cr.tensor([[0.0, 0.5, 1.0, 2.0]]).expand(3, 1, 4)
    utils.save_image(x, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture)[0, :, 0], [0, 128, 255, 255])
