"""Transforms of images: what all keep to, colours, noise, chance, mixing, errors; against closed forms, SciPy, Pillow."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import stats

import chainrule
from chainrule.data import transforms as T
from chainrule.data.transforms import functional as F
from chainrule.data.transforms.policies import CHANGES as NAMES_OF_CHANGES
from tests.transform_images import bytes_, images

#: Every transform of images in tensors, with settings that do something: (transform, whether it keeps the size).
EVERY: dict[str, tuple[Any, bool]] = {
    "RandomHorizontalFlip": (T.RandomHorizontalFlip(), True),
    "RandomVerticalFlip": (T.RandomVerticalFlip(), True),
    "Pad": (T.Pad((1, 2), padding_mode="reflect"), False),
    "CenterCrop": (T.CenterCrop(6), False),
    "RandomCrop": (T.RandomCrop((12, 10), padding=2), True),
    "Resize": (T.Resize((9, 15)), False),
    "RandomResizedCrop": (T.RandomResizedCrop((12, 10)), True),
    "RandomRotation": (T.RandomRotation(40), True),
    "RandomAffine": (T.RandomAffine(30, (0.2, 0.2), (0.8, 1.2), 10, "bilinear"), True),
    "RandomPerspective": (T.RandomPerspective(p=0.7), True),
    "ElasticTransform": (T.ElasticTransform(20.0, 2.0), True),
    "ColorJitter": (T.ColorJitter(0.4, 0.4, 0.4, 0.2), True),
    "Grayscale": (T.Grayscale(3), True),
    "RandomGrayscale": (T.RandomGrayscale(0.5), True),
    "RandomInvert": (T.RandomInvert(), True),
    "RandomPosterize": (T.RandomPosterize(2), True),
    "RandomSolarize": (T.RandomSolarize(0.5), True),
    "RandomAdjustSharpness": (T.RandomAdjustSharpness(3.0), True),
    "RandomAutocontrast": (T.RandomAutocontrast(), True),
    "RandomEqualize": (T.RandomEqualize(), True),
    "GaussianBlur": (T.GaussianBlur(5), True),
    "GaussianNoise": (T.GaussianNoise(), True),
    "RandomErasing": (T.RandomErasing(value="random"), True),
    "RandAugment": (T.RandAugment(), True),
    "TrivialAugmentWide": (T.TrivialAugmentWide(), True),
    "Normalize": (T.Normalize([0.5] * 3, [0.25] * 3), True),
    "Lambda": (T.Lambda(lambda x: x * 0.5), True),
    "Identity": (T.Identity(), True),
    "ConvertImageDtype": (T.ConvertImageDtype("float64"), True),
    "ToDtype": (T.ToDtype("float64", scale=True), True),
    "Compose": (T.Compose([T.RandomHorizontalFlip(), T.ColorJitter(0.3)]), True),
    "RandomApply": (T.RandomApply([T.RandomVerticalFlip(1.0), T.RandomInvert()]), True),
    "RandomChoice": (T.RandomChoice([T.RandomInvert(1.0), T.RandomVerticalFlip(1.0)], p=[1, 2]), True),
    "RandomOrder": (T.RandomOrder([T.ColorJitter((0.5, 0.5)), T.RandomInvert(1.0)]), True),
}
#: Names that are no transform of a batch of images in one tensor.
OTHERS = {
    "FiveCrop", "TenCrop", "LinearTransformation", "ToTensor", "PILToTensor", "ToImage", "ToPILImage", "MixUp", "CutMix",
    "Transform", "InterpolationMode", "mixup", "cutmix", "functional",
}  # fmt: skip
#: What gives every image of a batch the same change.
FIXED = {"Pad", "CenterCrop", "Resize", "Grayscale", "Normalize", "Lambda", "Identity", "ConvertImageDtype", "ToDtype"}


def test_every_name_is_tested() -> None:
    assert set(EVERY) | OTHERS == set(T.__all__)


@pytest.mark.parametrize("name", EVERY)
def test_compiled_is_eager(name: str) -> None:
    """From the same seed, also in the second call, which runs the program without tracing."""
    transform, x = EVERY[name][0], images()
    compiled: Any = chainrule.compile(lambda v: transform(v))
    for seed in (0, 1):
        results = []
        for run in (transform, compiled):
            chainrule.manual_seed(seed)
            results.append(run(x).numpy())
        np.testing.assert_allclose(results[1], results[0], atol=4e-6 if name == "ElasticTransform" else 2e-6)


@pytest.mark.parametrize("name", EVERY)
def test_the_seed_decides_and_nothing_is_changed_in_place(name: str) -> None:
    transform, x = EVERY[name][0], images()
    before = x.numpy().copy()
    results = []
    for seed in (3, 3, 4):
        chainrule.manual_seed(seed)
        results.append(transform(x).numpy())
    assert np.array_equal(results[0], results[1]) and np.array_equal(x.numpy(), before)
    assert np.array_equal(results[0], results[2]) == (name in FIXED)


@pytest.mark.parametrize("name", EVERY)
def test_each_image_of_a_batch_has_its_own_numbers(name: str) -> None:
    same = images(1).expand(32, 3, 12, 10) * 1.0
    result = EVERY[name][0](same).numpy()
    kinds = {image.tobytes() for image in result}
    assert len(kinds) == 1 if name in FIXED else len(kinds) > 1


@pytest.mark.parametrize("name", EVERY)
def test_one_image_is_a_batch_of_one(name: str) -> None:
    transform, x = EVERY[name][0], images(1)
    results = []
    for given in (x, x[0]):
        chainrule.manual_seed(7)
        results.append(transform(given).numpy())
    np.testing.assert_allclose(results[0][0], results[1], atol=1e-6)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("Normalize", "Lambda")])
def test_bytes_and_pictures(name: str) -> None:
    """A picture comes back as a picture, with what the bytes of its tensor become."""
    transform = EVERY[name][0]
    if name == "RandomErasing":
        transform = T.RandomErasing(value=(1, 2, 3))
    x = bytes_(3, 12, 10)
    chainrule.manual_seed(7)
    y = transform(x)
    assert y.dtype is (chainrule.float64 if name in ("ConvertImageDtype", "ToDtype") else chainrule.uint8)
    if y.dtype is chainrule.uint8:
        chainrule.manual_seed(7)
        picture = transform(F.to_pil_image(x))
        assert isinstance(picture, Image.Image)
        assert np.array_equal(np.asarray(picture), y.numpy().transpose(1, 2, 0))


@pytest.mark.parametrize("name", EVERY)
def test_a_generator_of_its_own(name: str) -> None:
    transform = EVERY[name][0]
    chainrule.manual_seed(5)
    expected = transform(images()).numpy()
    kept = {id(t): t.generator for t in (transform, *getattr(transform, "transforms", []))}
    generator = chainrule.Generator().manual_seed(5)
    parts = [transform, *getattr(transform, "transforms", [])]
    for part in parts:
        part.generator = generator
    state = chainrule.get_rng_state()
    try:
        assert np.array_equal(transform(images()).numpy(), expected)
    finally:
        for part in parts:
            part.generator = kept[id(part)]
    assert chainrule.equal(state, chainrule.get_rng_state()), "the default generator was not used"


# --------------------------------------------------------------------------------------------- forms, normalisation


def test_to_tensor_and_back() -> None:
    array = bytes_(12, 10, 3).numpy()
    x = T.ToTensor()(array)
    assert x.dtype is chainrule.float32 and np.allclose(x.numpy(), array.transpose(2, 0, 1) / 255, atol=1e-7)
    assert chainrule.equal(x, T.ToTensor()(Image.fromarray(array)))
    assert np.array_equal(np.asarray(T.ToPILImage()(x)), array) and T.ToTensor()(array[:, :, 0]).shape == (1, 12, 10)
    assert T.ToTensor()(array.astype(np.float64)).dtype is chainrule.float64
    assert T.ToTensor()(np.ones((2, 2), bool)).tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
    whole = T.PILToTensor()(Image.fromarray(array))
    assert whole.dtype is chainrule.uint8 and np.array_equal(whole.numpy(), array.transpose(2, 0, 1))
    assert chainrule.equal(T.ToImage()(array), whole) and T.ToImage()(whole) is whole
    assert [T.ToPILImage()(chainrule.zeros(c, 2, 2)).mode for c in (1, 2, 3, 4)] == ["L", "LA", "RGB", "RGBA"]
    assert T.ToPILImage("CMYK")(chainrule.zeros(4, 2, 2)).mode == "CMYK"
    assert T.ToPILImage("F")(chainrule.ones(1, 2, 2) * 7).getpixel((0, 0)) == 7
    assert T.ToPILImage()(chainrule.tensor([[[300]]])).mode == "I" and F.to_pil_image(chainrule.zeros(2, 3)).size == (
        3,
        2,
    )
    x, label = T.Compose([T.ToTensor(), T.Normalize([0.5], [0.5])])((array, 3))
    assert x.shape == (3, 12, 10) and label == 3


def test_types_with_their_ranges() -> None:
    x = bytes_(1, 16, 16)
    unit = T.ConvertImageDtype("float32")(x)
    assert unit.max().item() <= 1 and chainrule.equal(T.ConvertImageDtype("uint8")(unit), x)
    assert chainrule.equal(F.convert_image_dtype(F.convert_image_dtype(x, "int64"), "uint8"), x)
    assert F.to_dtype(x, "float32").max().item() > 1 and F.convert_image_dtype(x, "uint8") is x
    assert F.convert_image_dtype(unit, "float64").dtype is chainrule.float64


def test_normalize() -> None:
    x = images()
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    expected = (x.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(T.Normalize(mean, std)(x).numpy(), expected, atol=1e-6)
    assert F.normalize(x, mean, std, inplace=True) is x and np.allclose(x.numpy(), expected, atol=1e-6)
    whiten = T.LinearTransformation(chainrule.eye(12) * 2, chainrule.ones(12))
    assert np.allclose(whiten(chainrule.ones(5, 3, 2, 2)).numpy(), 0)


def test_gradients_flow_through() -> None:
    """Adversarial examples and spatial transformers need them."""
    x = images().requires_grad_()
    chain = [
        T.RandomAffine(20, interpolation="bilinear"),
        T.RandomResizedCrop(8),
        T.ColorJitter(0.2),
        T.GaussianBlur(3),
    ]
    T.Compose(chain)(x).sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all()) and x.grad.abs().sum().item() > 0


# ------------------------------------------------------------------------------------------------------------ chance


def test_how_often_and_where() -> None:
    n = 4000
    x = chainrule.arange(2.0).reshape(1, 1, 1, 2).expand(n, 1, 1, 2) * 1.0
    flipped = T.RandomHorizontalFlip(0.3)(x)[:, 0, 0, 0].mean().item()
    assert abs(flipped - 0.3) < 4 * math.sqrt(0.21 / n)
    rows = chainrule.arange(9.0).reshape(1, 1, 9, 1).expand(n, 1, 9, 9) * 1.0
    tops = T.RandomCrop(5)(rows)[:, 0, 0, 0].numpy().astype(int)
    assert stats.chisquare(np.bincount(tops, minlength=5)).pvalue > 0.001
    chosen = T.RandomChoice([lambda v: v * 0 + 1, lambda v: v * 0 + 2, lambda v: v * 0 + 3], p=[1, 2, 5])(x)[:, 0, 0, 0]
    counts = np.bincount(chosen.numpy().astype(int), minlength=4)[1:]
    assert stats.chisquare(counts, np.array([1, 2, 5]) * n / 8).pvalue > 0.001
    applied = T.RandomApply([T.Lambda(lambda v: v * 0 + 7)], p=0.2)(x)[:, 0, 0, 0].numpy() == 7
    assert abs(applied.mean() - 0.2) < 4 * math.sqrt(0.16 / n)
    ordered = T.RandomOrder([lambda v: v * 2, lambda v: v + 1])(x)[:, 0, 0, 0].numpy()
    assert set(ordered) == {1.0, 2.0} and abs(ordered.mean() - 1.5) < 0.05


def test_random_parameters_are_distributed_as_said() -> None:
    x = chainrule.zeros(3000, 1, 60, 50)
    top, left, height, width = (v.numpy() for v in T.RandomResizedCrop(8, (0.1, 0.5)).draw(x))
    assert stats.kstest(height * width / 3000, "uniform", (0.1, 0.4)).statistic < 0.04
    assert stats.kstest(np.log(width / height), "uniform", (math.log(3 / 4), 2 * math.log(4 / 3))).statistic < 0.05
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 60).all() and (left + width <= 50).all()
    assert stats.kstest((top + 0.5) / (61 - height), "uniform").statistic < 0.05
    narrow = T.RandomResizedCrop(8, (0.9, 1.0)).draw(chainrule.zeros(50, 1, 10, 100))
    top, left, height, width = (v.numpy() for v in narrow)
    assert set(height) == {10} and set(width) == {13} and set(left) == {43} and set(top) == {0}, "the middle"
    a, b, c, d, e, f = T.RandomAffine((-30, 30), (0.1, 0.2), (0.5, 2.0)).draw(x)
    scale = np.hypot(a.numpy(), d.numpy())
    assert stats.kstest(scale, "uniform", (0.5, 1.5)).statistic < 0.04
    angle = np.degrees(np.arctan2(d.numpy(), a.numpy()))
    assert stats.kstest(angle, "uniform", (-30, 60)).statistic < 0.04
    right, down = (a * 24.5 + b * 29.5 + c - 24.5).numpy(), (d * 24.5 + e * 29.5 + f - 29.5).numpy()
    assert np.allclose(right, right.round(), atol=1e-9) and np.abs(right).max() <= 5 < np.abs(down).max() <= 12
    sigma = T.GaussianBlur(3, (0.1, 2.0)).draw(x).numpy()
    assert stats.kstest(sigma, "uniform", (0.1, 1.9)).statistic < 0.04
    factors, turns = T.ColorJitter(0.4, (0.2, 0.3), 0.0, 0.5).draw(x)
    assert list(factors) == ["brightness", "contrast", "hue"] and set(turns.sum(1).tolist()) == {3}
    assert stats.kstest(factors["hue"].numpy(), "uniform", (-0.5, 1.0)).statistic < 0.04


def test_policies_do_what_they_drew() -> None:
    """Image by image against the single functions, for all fourteen changes and both signs."""
    x = images(600, h=14, w=16)
    for policy in (T.RandAugment(1, 20), T.TrivialAugmentWide()):
        ((which, strength),) = policy.draw(x)
        results = policy.change_images(x, [(which, strength)])
        assert stats.chisquare(np.bincount(which.numpy(), minlength=14)).pvalue > 0.001
        signed = strength.numpy()[(which >= 1).numpy() & (which <= 9).numpy()]
        assert (signed > 0).sum() > 100 < (signed < 0).sum()
        for i in range(80):
            change, m = NAMES_OF_CHANGES[int(which[i])], strength[i].item()
            shear = math.degrees(math.atan(m))
            expected = {
                "identity": lambda v, m, s: v,
                "shear x": lambda v, m, s: F.affine(v, 0, (0, 0), 1.0, (s, 0), center=(0, 0)),
                "shear y": lambda v, m, s: F.affine(v, 0, (0, 0), 1.0, (0, s), center=(0, 0)),
                "move x": lambda v, m, s: F.affine(v, 0, (m, 0), 1.0, 0),
                "move y": lambda v, m, s: F.affine(v, 0, (0, m), 1.0, 0),
                "rotate": lambda v, m, s: F.rotate(v, m),
                "brightness": lambda v, m, s: F.adjust_brightness(v, 1 + m),
                "saturation": lambda v, m, s: F.adjust_saturation(v, 1 + m),
                "contrast": lambda v, m, s: F.adjust_contrast(v, 1 + m),
                "sharpness": lambda v, m, s: F.adjust_sharpness(v, 1 + m),
                "posterize": lambda v, m, s: F.posterize(v, round(m)),
                "solarize": lambda v, m, s: F.solarize(v, m / 255),
                "autocontrast": lambda v, m, s: F.autocontrast(v),
                "equalize": lambda v, m, s: F.equalize(v),
            }[change](x[i], m, shear)
            np.testing.assert_allclose(results[i].numpy(), expected.numpy(), atol=1e-5, err_msg=change)


def test_the_gradient_of_crops_goes_where_the_pixels_came_from() -> None:
    """Against plain slices, image by image; and the gradient's gradient is the cut itself."""
    x = images(5, h=9, w=8).requires_grad_()
    top, left = chainrule.tensor([0, 4, 2, 1, 3]), chainrule.tensor([2, 0, 1, 2, 0])
    weights = images(5, h=5, w=6, seed=2)
    parts = F.crop(x, top, left, 5, 6)
    expected = np.zeros(tuple(x.shape), np.float32)
    for i, (a, b) in enumerate(zip(top.tolist(), left.tolist(), strict=True)):
        assert np.array_equal(parts[i].detach().numpy(), x[i, :, a : a + 5, b : b + 6].detach().numpy())
        expected[i, :, a : a + 5, b : b + 6] = weights[i].numpy()
    w = weights.requires_grad_()
    (gradient,) = chainrule.autograd.grad((parts * w).sum(), x, create_graph=True)
    assert np.array_equal(gradient.detach().numpy(), expected)
    other = images(5, h=9, w=8, seed=3)
    (back,) = chainrule.autograd.grad((gradient * other).sum(), w)
    assert np.array_equal(back.numpy(), F.crop(other, top, left, 5, 6).numpy())


def test_perspective_corners_move_inwards() -> None:
    start, end = T.RandomPerspective(0.5, p=1.0).draw(chainrule.zeros(500, 1, 20, 30))
    inwards = np.abs((end - start).numpy())
    assert inwards[..., 0].max() == 7 and inwards[..., 1].max() == 5 and inwards.min() == 0
    assert (end.numpy() >= 0).all() and (end.numpy() <= [29, 19]).all()


# ---------------------------------------------------------------------------------------------------- names, errors


def test_names_under_vision() -> None:
    from chainrule.vision import transforms
    from chainrule.vision.transforms import functional, v2
    from chainrule.vision.transforms.v2 import functional as second

    assert transforms.RandomCrop is v2.RandomCrop is T.RandomCrop and functional.resize is second.resize is F.resize
    assert v2.functional is second and transforms.functional is functional
    for name in T.__all__:
        assert hasattr(transforms, name) and hasattr(v2, name)
    for name in F.__all__:
        assert getattr(functional, name) is getattr(second, name) is getattr(F, name)


def test_arguments_are_pytorch_visions() -> None:
    """Written down from its documentation; `generator` is ours, by name only."""
    expected = {
        "RandomCrop": "size, padding=None, pad_if_needed=False, fill=0, padding_mode='constant'",
        "RandomHorizontalFlip": "p=0.5", "RandomVerticalFlip": "p=0.5", "CenterCrop": "size",
        "Pad": "padding, fill=0, padding_mode='constant'", "Compose": "transforms", "Lambda": "lambd",
        "Resize": "size, interpolation=BILINEAR, max_size=None, antialias=True",
        "RandomResizedCrop":
            "size, scale=(0.08, 1.0), ratio=(0.75, 1.3333333333333333), interpolation=BILINEAR, antialias=True",
        "RandomRotation": "degrees, interpolation=NEAREST, expand=False, center=None, fill=0",
        "RandomAffine":
            "degrees, translate=None, scale=None, shear=None, interpolation=NEAREST, fill=0, center=None",
        "RandomPerspective": "distortion_scale=0.5, p=0.5, interpolation=BILINEAR, fill=0",
        "ElasticTransform": "alpha=50.0, sigma=5.0, interpolation=BILINEAR, fill=0",
        "ColorJitter": "brightness=0, contrast=0, saturation=0, hue=0",
        "Grayscale": "num_output_channels=1", "RandomGrayscale": "p=0.1", "RandomInvert": "p=0.5",
        "RandomPosterize": "bits, p=0.5", "RandomSolarize": "threshold, p=0.5",
        "RandomAdjustSharpness": "sharpness_factor, p=0.5", "RandomAutocontrast": "p=0.5", "RandomEqualize": "p=0.5",
        "GaussianBlur": "kernel_size, sigma=(0.1, 2.0)", "GaussianNoise": "mean=0.0, sigma=0.1, clip=True",
        "RandomErasing": "p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, inplace=False",
        "Normalize": "mean, std, inplace=False", "LinearTransformation": "transformation_matrix, mean_vector",
        "ToTensor": "", "PILToTensor": "", "ToPILImage": "mode=None", "ConvertImageDtype": "dtype",
        "FiveCrop": "size", "TenCrop": "size, vertical_flip=False", "RandomApply": "transforms, p=0.5",
        "RandAugment": "num_ops=2, magnitude=9, num_magnitude_bins=31, interpolation=NEAREST, fill=None",
        "TrivialAugmentWide": "num_magnitude_bins=31, interpolation=NEAREST, fill=None",
        "RandomOrder": "transforms", "RandomChoice": "transforms, p=None",
    }  # fmt: skip
    for name, arguments in expected.items():
        parts = []
        for parameter in list(inspect.signature(getattr(T, name)).parameters.values()):
            if parameter.name == "generator":
                continue
            default = parameter.default
            default = default.name if isinstance(default, T.InterpolationMode) else repr(default)
            parts.append(parameter.name if parameter.default is parameter.empty else f"{parameter.name}={default}")
        assert ", ".join(parts) == arguments, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: T.RandomCrop(20)(images()), "does not fit into 12 × 10"),
        (lambda: T.RandomCrop(0), "at least 1"),
        (lambda: T.RandomCrop((1, 2, 3)), "height, width"),
        (lambda: T.RandomHorizontalFlip(1.5), "probability"),
        (lambda: T.RandomHorizontalFlip()(chainrule.zeros(5, 5)), r"\(C, H, W\)"),
        (lambda: T.RandomHorizontalFlip()(np.zeros((5, 5, 3))), "ToTensor"),
        (lambda: T.RandomHorizontalFlip()("image"), "str"),
        (lambda: T.RandomHorizontalFlip()({"picture": images()}), "`image`"),
        (lambda: T.RandomHorizontalFlip()({"image": images(), "mask": images(2)}), "4 images go with 4 masks"),
        (lambda: T.RandomHorizontalFlip()({"image": images(), "mask": chainrule.ones(4, 5, 5)}), "12 × 10"),
        (lambda: T.RandomHorizontalFlip()({"image": images(), "keypoints": chainrule.ones(5, 3)}), "keypoints"),
        (lambda: T.RandomHorizontalFlip()({"image": images(), "images": images()}), "one image"),
        (lambda: T.RandomApply([T.Resize(5)])(images()), "keeps the size"),
        (lambda: T.RandomApply(T.RandomInvert()), "list of transforms"),
        (lambda: T.RandomChoice([T.RandomInvert()], p=[1, 2]), "weight"),
        (lambda: T.RandomChoice([]), "something to choose"),
        (lambda: T.ColorJitter(-1), "at least 0"),
        (lambda: T.ColorJitter(hue=0.7), "0.5"),
        (lambda: T.ColorJitter(0.5, 0.5, 0.5)(images(2, 4)), "1 or 3 channels"),
        (lambda: T.GaussianBlur(4), "odd"),
        (lambda: T.GaussianBlur(3, 0), "above 0"),
        (lambda: T.GaussianBlur(31)(images()), "too large"),
        (lambda: F.gaussian_blur(images(), 3, -1.0), "above 0"),
        (lambda: T.RandomErasing(value="noise"), "random"),
        (lambda: T.RandomErasing(scale=(0.5, 0.1)), "scale"),
        (lambda: T.RandomErasing(1.0, value=(1, 2))(images()), "2 values for 3 channels"),
        (lambda: T.RandomErasing(1.0, value="random")(bytes_(3, 8, 8)), "floating-point"),
        (lambda: T.Normalize([0.5] * 2, [1.0] * 2)(images()), "3 channels"),
        (lambda: T.Normalize([0.5], [0.0])(images()), "not 0"),
        (lambda: T.Normalize([0.5], [0.5])(bytes_(3, 4, 4)), "ToTensor"),
        (lambda: T.RandomRotation(-5), "at least 0"),
        (lambda: T.RandomRotation(5, "lanczos"), "nearest, bilinear, bicubic"),
        (lambda: T.RandomRotation(5, expand=True, center=(1, 1)), "middle"),
        (lambda: T.RandomAffine(5, translate=(2, 0)), "translate"),
        (lambda: T.RandomAffine(5, scale=(0, 1)), "scale"),
        (lambda: T.RandomPerspective(2), "distortion_scale"),
        (lambda: T.RandomResizedCrop(5, scale=(1.0, 0.5)), "scale"),
        (lambda: T.Resize((5, 5), max_size=9), "max_size"),
        (lambda: T.Resize(5, max_size=4), "exceed"),
        (lambda: T.Pad(1, padding_mode="wrap"), "padding_mode"),
        (lambda: T.Pad((1, 2, 3)), "four"),
        (lambda: F.pad(images(), 12, padding_mode="reflect"), "cannot add 12"),
        (lambda: F.pad(images(), -6), "nothing of 12 × 10"),
        (lambda: F.posterize(images(), 9), "0 to 8"),
        (lambda: F.adjust_hue(images(), 0.6), "½"),
        (lambda: F.affine(images(), 0, (0, 0), -1.0, 0), "above 0"),
        (lambda: F.perspective(images(), [[0, 0]], [[0, 0]]), "four points"),
        (lambda: F.elastic_transform(images(), chainrule.zeros(1, 3, 3, 2)), r"\(N, 12, 10, 2\)"),
        (lambda: F.five_crop(images(), 11), "does not fit"),
        (lambda: T.ToTensor()(images()), "NumPy array"),
        (lambda: T.PILToTensor()(np.zeros((2, 2))), "Pillow"),
        (lambda: F.to_pil_image(images()), "2 or 3 axes"),
        (lambda: F.to_pil_image(chainrule.zeros(7, 3, 3)), "1 to 4 channels"),
        (lambda: F.to_pil_image(chainrule.zeros(3, 3, 3), "L"), "does not go with"),
        (lambda: T.mixup(images(), chainrule.arange(4)), "num_classes"),
        (lambda: T.mixup(images(), chainrule.arange(3), num_classes=4), "4 labels"),
        (lambda: T.cutmix(images()[0], chainrule.arange(3), num_classes=4), "batch"),
        (lambda: T.cutmix(bytes_(4, 3, 8, 8), chainrule.arange(4), num_classes=4), "floating-point"),
        (lambda: T.MixUp(alpha=0), "alpha"),
        (lambda: T.LinearTransformation(chainrule.eye(3), chainrule.ones(4)), "4 × 4"),
        (lambda: T.Lambda(3), "function"),
        (lambda: T.RandAugment(magnitude=31), "magnitude"),
        (lambda: T.RandAugment(num_ops=-1), "num_ops"),
        (lambda: T.TrivialAugmentWide(1), "num_magnitude_bins"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        call()


def test_printing() -> None:
    assert repr(T.RandomCrop(32, padding=4)) == "RandomCrop(size=(32, 32), padding=4)"
    whole = T.Compose([T.RandomApply([T.RandomInvert()], p=0.2), T.ToTensor()])
    assert (
        repr(whole)
        == "Compose(\n    RandomApply(\n        p=0.2\n        RandomInvert(p=0.5)\n    )\n    ToTensor()\n)"
    )
    for transform, _ in EVERY.values():
        assert repr(transform).startswith(type(transform).__name__ + "(")


# ---------------------------------------------------------------------------------------------------------- the page


def test_the_page_names_every_transform_and_is_up_to_date() -> None:
    from docs.make import transforms as making

    rows = [*making.MOVED, *making.LOOKS, *making.MIXED, *making.COMBINED]
    classes = {name for name in T.__all__ if name[0].isupper()} - {"Transform", "InterpolationMode"}
    assert {row.name for row in rows} == classes
    written = (making.DOCS / "transforms.md").read_text(encoding="utf-8")
    assert written == making.page(), "make it again: python -m docs.make.transforms"
    assert all(len(making.shown(row)) >= 4 for row in (*making.MOVED[:5], *making.MIXED))
