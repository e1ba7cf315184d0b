"""Resizing and greying of images of bytes: the numbers are Pillow's, in eager and in compiled code."""

from __future__ import annotations

import numpy as np
import PIL
import pytest
from PIL import Image

import chainrule
from chainrule.data import transforms
from chainrule.data.transforms import functional as F

MODES = {
    "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}  # fmt: skip


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_tensor(pixels: np.ndarray) -> chainrule.Tensor:
    return chainrule.tensor(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@pytest.mark.parametrize("mode", MODES)
def test_resizing_rounds_as_pillow_does(mode):
    """One dimension after the other, so that there is no question which comes first."""
    draw = np.random.default_rng(1)
    for seed in range(20):
        h, w, new_h, new_w = (int(n) for n in draw.integers(1, 120, 4))
        pixels = picture(h, w, seed)
        wider = Image.fromarray(pixels).resize((new_w, h), MODES[mode])
        found = F.resize(as_tensor(pixels), (h, new_w), mode)
        np.testing.assert_array_equal(found.numpy().transpose(1, 2, 0), np.asarray(wider))
        found = F.resize(found, (new_h, new_w), mode)
        wanted = np.asarray(wider.resize((new_w, new_h), MODES[mode]))
        np.testing.assert_array_equal(found.numpy().transpose(1, 2, 0), wanted)


@pytest.mark.parametrize("mode", MODES)
def test_resizing_both_dimensions_begins_where_pillow_13_does(mode):
    """With the columns where the height loses more than twice as many pixels as the width; with the rows elsewhere."""
    draw = np.random.default_rng(2)
    sizes = [draw.integers(2, 90, 4) for _ in range(30)] + [(80, 6, 76, 4), (75, 64, 47, 50), (79, 66, 60, 57)]
    firsts = set()
    for seed, (h, w, new_h, new_w) in enumerate(np.array(sizes).tolist()):
        image = Image.fromarray(picture(h, w, seed))
        columns = h > new_h and h - new_h > 2 * (w - new_w)
        between = image.resize((w, new_h) if columns else (new_w, h), MODES[mode])
        wanted = np.asarray(between.resize((new_w, new_h), MODES[mode]))
        found = F.resize(as_tensor(np.asarray(image)), (new_h, new_w), mode).numpy().transpose(1, 2, 0)
        np.testing.assert_array_equal(found, wanted)
        if int(PIL.__version__.partition(".")[0]) >= 13:
            np.testing.assert_array_equal(found, np.asarray(image.resize((new_w, new_h), MODES[mode])))
        firsts.add(columns)
    assert firsts == {True, False}


@pytest.mark.parametrize("mode", [*MODES, "nearest"])
@pytest.mark.parametrize("kind", ["RGB", "L", "RGBA", "P", "1"])
def test_pictures_are_resized_by_pillow(mode, kind):
    image = Image.fromarray(picture(64, 100)).convert(kind)
    wanted = image.resize((31, 40), MODES.get(mode, Image.Resampling.NEAREST))
    for found in (transforms.Resize((40, 31), mode)(image), F.resize(image, (40, 31), mode)):
        assert found.mode == kind
        np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


def test_greys_are_pillows():
    pixels = picture(150, 150)
    wanted = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(F.rgb_to_grayscale(as_tensor(pixels))[0].numpy(), wanted)
    three = transforms.Grayscale(3)(as_tensor(pixels)).numpy()
    np.testing.assert_array_equal(three, np.broadcast_to(wanted, three.shape))
    np.testing.assert_array_equal(np.asarray(transforms.Grayscale()(Image.fromarray(pixels))), wanted)
    grey = as_tensor(pixels)[:1]
    np.testing.assert_array_equal(F.rgb_to_grayscale(grey).numpy(), grey.numpy())


def test_compiled_they_are_the_same():
    batch = chainrule.stack([as_tensor(picture(20, 30, seed)) for seed in range(3)])

    def change(x):
        return F.rgb_to_grayscale(F.resize(x, (13, 17), "bicubic"))

    np.testing.assert_array_equal(chainrule.compile(change)(batch).numpy(), change(batch).numpy())
