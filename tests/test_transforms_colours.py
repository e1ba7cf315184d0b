"""Colours, blur, noise and erased rectangles, against Pillow, colorsys and SciPy."""

from __future__ import annotations

import colorsys
import math
from typing import Any

import numpy as np
import pytest
from PIL import ImageOps
from scipy import ndimage, stats

import chainrule
from chainrule.data import transforms as T
from chainrule.data.transforms import functional as F
from tests.transform_images import bytes_, images

# ------------------------------------------------------------------------------------------------------- colours


def test_brightness_contrast_saturation_by_hand() -> None:
    x = images()
    v = x.numpy().astype(float)
    grey = 0.2989 * v[:, :1] + 0.587 * v[:, 1:2] + 0.114 * v[:, 2:]
    for factor in (0.0, 0.4, 1.0, 1.7):
        near = {"atol": 1e-6}
        np.testing.assert_allclose(F.adjust_brightness(x, factor).numpy(), np.clip(v * factor, 0, 1), **near)
        mean = grey.mean((1, 2, 3), keepdims=True)
        contrast = np.clip(factor * v + (1 - factor) * mean, 0, 1)
        np.testing.assert_allclose(F.adjust_contrast(x, factor).numpy(), contrast, **near)
        saturated = np.clip(factor * v + (1 - factor) * grey, 0, 1)
        np.testing.assert_allclose(F.adjust_saturation(x, factor).numpy(), saturated, **near)
    np.testing.assert_allclose(F.rgb_to_grayscale(x).numpy(), grey, atol=1e-6)
    np.testing.assert_allclose(T.Grayscale(3)(x).numpy(), np.repeat(grey, 3, 1), atol=1e-6)
    factors = chainrule.tensor([0.0, 0.4, 1.0, 1.7])
    for one in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_sharpness):
        each = one(x, factors).numpy()
        for i, factor in enumerate(factors.tolist()):
            np.testing.assert_allclose(each[i], one(x[i], factor).numpy(), atol=1e-6)


def test_hue_is_that_of_colorsys() -> None:
    x = np.concatenate(
        [images(1, 3, 8, 8).numpy()[0].reshape(3, -1), np.eye(3), 1 - np.eye(3), np.ones((3, 2)) * 0.3], 1
    )
    for turn in (-0.5, -0.2, 0.0, 0.1, 0.5):
        ours = F.adjust_hue(chainrule.tensor(x, dtype="float64").reshape(3, 1, -1), turn).numpy()[:, 0].T
        for colour, new in zip(x.T, ours, strict=True):
            h, s, v = colorsys.rgb_to_hsv(*colour)
            np.testing.assert_allclose(new, colorsys.hsv_to_rgb((h + turn) % 1, s, v), atol=1e-9)
    one = images(2, 1)
    assert F.adjust_hue(one, 0.3) is one and F.adjust_saturation(one, 0.0) is one


def test_colour_functions_of_bytes_are_pillows() -> None:
    x = bytes_(3, 16, 16)
    picture = F.to_pil_image(x)

    def same(ours: Any, theirs: Any, apart: int = 0) -> None:
        theirs = np.asarray(theirs).astype(int)
        theirs = theirs[None] if theirs.ndim == 2 else theirs.transpose(2, 0, 1)
        assert np.abs(ours.numpy().astype(int) - theirs).max() <= apart

    same(F.invert(x), ImageOps.invert(picture))
    for bits in range(1, 9):
        same(F.posterize(x, bits), ImageOps.posterize(picture, bits))
    same(F.solarize(x, 100), ImageOps.solarize(picture, 100))
    same(F.equalize(x), ImageOps.equalize(picture))
    same(F.equalize(bytes_(3, 100, 90) // 3), ImageOps.equalize(F.to_pil_image(bytes_(3, 100, 90) // 3)))
    same(F.autocontrast(x // 2), ImageOps.autocontrast(F.to_pil_image(x // 2)), 1)
    same(F.rgb_to_grayscale(x), ImageOps.grayscale(picture), 1)
    from PIL import ImageEnhance

    for factor in (0.0, 0.5, 1.8):
        same(F.adjust_brightness(x, factor), ImageEnhance.Brightness(picture).enhance(factor), 1)
        same(F.adjust_contrast(x, factor), ImageEnhance.Contrast(picture).enhance(factor), 2)
        same(F.adjust_saturation(x, factor), ImageEnhance.Color(picture).enhance(factor), 2)
        same(F.adjust_sharpness(x, factor), ImageEnhance.Sharpness(picture).enhance(factor), 2)


def test_flat_images_stay() -> None:
    flat = chainrule.ones(1, 3, 4, 4) * 0.3
    for change in (F.autocontrast, F.equalize, lambda x: F.adjust_sharpness(x, 3.0), lambda x: F.gaussian_blur(x, 3)):
        np.testing.assert_allclose(change(flat).numpy(), flat.numpy(), atol=0.002)  # equalize counts in 255ths
    assert F.adjust_gamma(flat, 2.0, 0.5)[0, 0, 0, 0].item() == pytest.approx(0.045)


def test_jitter_with_fixed_factors_in_some_order() -> None:
    """The result of each image is that of one of the 24 orders, and many orders occur."""
    from itertools import permutations

    steps = {
        "b": lambda v: F.adjust_brightness(v, 1.4), "c": lambda v: F.adjust_contrast(v, 0.5),
        "s": lambda v: F.adjust_saturation(v, 1.6), "h": lambda v: F.adjust_hue(v, 0.2),
    }  # fmt: skip
    x = images(1)[0]
    results = {}
    for order in permutations("bcsh"):
        y = x
        for step in order:
            y = steps[step](y)
        results["".join(order)] = y.numpy()
    jitter = T.ColorJitter((1.4, 1.4), (0.5, 0.5), (1.6, 1.6), (0.2, 0.2))
    seen = set()
    for y in jitter(x.unsqueeze(0).expand(100, 3, 12, 10) * 1.0).numpy():
        fitting = [order for order, z in results.items() if np.allclose(y, z, atol=1e-5)]
        assert fitting
        seen.add(fitting[0])
    assert len(seen) > 10
    three = T.ColorJitter((1.4, 1.4), (0.5, 0.5), (1.6, 1.6))(x).numpy()
    orders = ["".join(o) for o in permutations("bcs")]
    assert any(np.allclose(three, steps[o[2]](steps[o[1]](steps[o[0]](x))).numpy(), atol=1e-5) for o in orders)
    grey = T.ColorJitter(0, 0, 0.5, 0.2)(images(2, 1))
    assert chainrule.equal(grey, images(2, 1)) and chainrule.equal(T.ColorJitter()(x), x)


# ------------------------------------------------------------------------------------------------ blur, noise, holes


@pytest.mark.parametrize(("size", "sigma"), [(3, 0.5), (7, 1.2), (9, 2.0)])
def test_blur_is_scipys(size: int, sigma: float) -> None:
    x = images(2, 3, 15, 17)
    expected = ndimage.gaussian_filter(
        x.numpy().astype(float), (0, 0, sigma, sigma), mode="mirror", radius=(0, 0, size // 2, size // 2)
    )
    np.testing.assert_allclose(F.gaussian_blur(x, size, sigma).numpy(), expected, atol=1e-6)
    each = F.gaussian_blur(x, size, chainrule.tensor([sigma, 0.3])).numpy()
    np.testing.assert_allclose(each[0], expected[0], atol=1e-6)
    two = ndimage.gaussian_filter(
        x.numpy().astype(float), (0, 0, 0.7, sigma), mode="mirror", radius=(0, 0, 2, size // 2)
    )
    np.testing.assert_allclose(F.gaussian_blur(x, (size, 5), (sigma, 0.7)).numpy(), two, atol=1e-6)


def test_noise_is_normal() -> None:
    x = chainrule.ones(1, 1, 200, 200) * 0.5
    noise = (T.GaussianNoise(0.01, 0.05, clip=False)(x) - x).flatten().numpy().astype(float)
    assert stats.kstest(noise, "norm", (0.01, 0.05)).pvalue > 0.001
    clipped = T.GaussianNoise(sigma=5.0)(x)
    assert clipped.min().item() == 0 and clipped.max().item() == 1


def test_erased_rectangles() -> None:
    n, h, w = 2000, 32, 40
    erase = T.RandomErasing(p=0.6, scale=(0.05, 0.2), ratio=(0.5, 2.0), value=5)
    holes = erase(chainrule.zeros(n, 1, h, w)).numpy()[:, 0] == 5
    hit = holes.any((1, 2))
    assert abs(hit.mean() - 0.6) < 4 * math.sqrt(0.24 / n)
    areas, shapes = [], []
    for hole in holes[hit]:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert hole.sum() == height * width, "a full rectangle"
        areas.append(hole.mean())
        shapes.append(math.log(height / width))
    # Of 1200 areas a distance of 0.056 comes in one run of a thousand; whole rows and columns add to it.
    assert stats.kstest(areas, "uniform", (0.05, 0.15)).statistic < 0.075
    assert abs(np.mean(shapes)) < 0.05 and max(np.abs(shapes)) < math.log(2) + 0.2
    same = chainrule.zeros(3, 8, 8)
    assert T.RandomErasing(1.0, value=(1, 2, 3), inplace=True)(same) is same and same.amax((1, 2)).tolist() == [1, 2, 3]
    assert chainrule.equal(T.RandomErasing(1.0, (1.0, 1.0), (1.0, 1.0))(images()), images()), "nothing fits"


def test_erase_writes_what_is_given() -> None:
    x = images()
    new = chainrule.rand(3, 4, 5)
    y = F.erase(x, 2, 3, 4, 5, new).numpy()
    expected = x.numpy().copy()
    expected[:, :, 2:6, 3:8] = new.numpy()
    assert np.array_equal(y, expected)
    assert F.erase(x, 0, 0, 12, 10, 1.0, inplace=True) is x and x.mean().item() == 1
