"""Transforms of images against closed forms, SciPy, Pillow and PyTorch; labels that go along; chance; compilation."""

from __future__ import annotations

import colorsys
import inspect
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy import ndimage, stats

import chainrule
from chainrule.data import transforms as T
from chainrule.data.transforms import functional as F
from chainrule.data.transforms.mixing import beta_draws


def images(n: int = 4, c: int = 3, h: int = 12, w: int = 10, seed: int = 1) -> Any:
    return chainrule.tensor(np.random.default_rng(seed).random((n, c, h, w)), dtype="float32")


def bytes_(*shape: int, seed: int = 1) -> Any:
    return chainrule.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


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


# --------------------------------------------------------------------------------------------------- geometry


def test_flips() -> None:
    x = images()
    for flip, axis in ((F.hflip, 3), (F.vflip, 2), (F.horizontal_flip, 3), (F.vertical_flip, 2)):
        assert np.array_equal(flip(x).numpy(), np.flip(x.numpy(), axis)) and chainrule.equal(flip(flip(x)), x)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad_is_that_of_numpy(mode: str) -> None:
    x = images()
    ours = F.pad(x, (1, 2, 3, 4), padding_mode=mode).numpy()
    assert np.array_equal(ours, np.pad(x.numpy(), [(0, 0), (0, 0), (2, 4), (1, 3)], mode=mode))  # type: ignore[call-overload]
    assert np.array_equal(F.pad(x, -2).numpy(), x.numpy()[:, :, 2:-2, 2:-2])


def test_pad_with_colours() -> None:
    y = F.pad(images(), 1, fill=(0.1, 0.2, 0.3)).numpy()
    assert np.allclose(y[:, :, 0, 5], [0.1, 0.2, 0.3]) and np.allclose(F.pad(images(), 1, [0.5]).numpy()[:, :, 0], 0.5)
    with pytest.raises(chainrule.errors.ShapeError, match="2 numbers for 3 channels"):
        F.pad(images(), 1, fill=(1, 2))


def test_crops_are_slices() -> None:
    x = images()
    assert np.array_equal(F.crop(x, 2, 3, 4, 5).numpy(), x.numpy()[:, :, 2:6, 3:8])
    outside = F.crop(x, -2, 8, 5, 5).numpy()
    expected = np.pad(x.numpy(), [(0, 0), (0, 0), (2, 0), (0, 3)])[:, :, :5, 8:13]
    assert np.array_equal(outside, expected) and F.crop(x, 50, 50, 2, 2).sum().item() == 0
    tops, lefts = np.array([0, 1, 8, 3]), np.array([5, 0, 2, 1])
    parts = F.crop(x, chainrule.tensor(tops), chainrule.tensor(lefts), 4, 5).numpy()
    for i in range(4):
        assert np.array_equal(parts[i], x.numpy()[i, :, tops[i] : tops[i] + 4, lefts[i] : lefts[i] + 5])


def test_center_and_five_and_ten_crops() -> None:
    x = images()
    assert np.array_equal(F.center_crop(x, (6, 4)).numpy(), x.numpy()[:, :, 3:9, 3:7])
    assert np.array_equal(F.center_crop(x, (14, 13)).numpy(), np.pad(x.numpy(), [(0, 0), (0, 0), (1, 1), (1, 2)]))
    parts = T.FiveCrop(4)(x)
    for part, (i, j) in zip(parts, [(0, 0), (0, 6), (8, 0), (8, 6), (4, 3)], strict=True):
        assert np.array_equal(part.numpy(), x.numpy()[:, :, i : i + 4, j : j + 4])
    ten = T.TenCrop(4)(x)
    assert len(ten) == 10 and all(chainrule.equal(a, b) for a, b in zip(ten[5:], F.five_crop(F.hflip(x), 4)))
    assert chainrule.equal(T.TenCrop(4, True)(x)[5], F.five_crop(F.vflip(x), 4)[0])


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_resize_and_resized_crops_are_pytorch_interpolate(mode: str, antialias: bool) -> None:
    """Also those whose place and size differ from image to image: each is a slice, interpolated."""
    torch = pytest.importorskip("torch")
    x = images(5, 3, 20, 24)

    def theirs(part: Any, size: tuple[int, int]) -> Any:
        smooth = {"antialias": antialias} if mode.startswith("bi") else {}
        return torch.nn.functional.interpolate(torch.tensor(part), size, mode=mode, **smooth).numpy()

    for size in ((10, 12), (31, 9), (20, 24)):
        ours = T.Resize(size, mode, antialias=antialias)(x).numpy()
        np.testing.assert_allclose(ours, theirs(x.numpy(), size), atol=2e-6)
    tops, lefts, heights, widths = [0, 3, 1, 10, 19], [0, 5, 2, 14, 0], [20, 7, 15, 10, 1], [24, 9, 3, 10, 24]
    tensors = [chainrule.tensor(v) for v in (tops, lefts, heights, widths)]
    ours = F.resized_crop(x, *tensors, (8, 11), mode, antialias).numpy()
    for i, (t, l, h, w) in enumerate(zip(tops, lefts, heights, widths, strict=True)):
        part = x.numpy()[i : i + 1, :, t : t + h, l : l + w]
        np.testing.assert_allclose(ours[i : i + 1], theirs(part, (8, 11)), atol=2e-6)
        if i == 1:
            single = F.resized_crop(x[1], t, l, h, w, (8, 11), mode, antialias).numpy()
            np.testing.assert_allclose(single, ours[1], atol=2e-6)


def test_resize_of_pictures_is_pillows() -> None:
    x = bytes_(3, 30, 40)
    ours = np.asarray(T.Resize((11, 17))(F.to_pil_image(x))).astype(int)
    theirs = np.asarray(F.to_pil_image(x).resize((17, 11), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - theirs).max() <= 1  # Pillow rounds between the two axes


def test_sizes_of_resize() -> None:
    x = images(1, 3, 20, 40)
    assert T.Resize(10)(x).shape[2:] == (10, 20) and T.Resize(10)(x.transpose(2, 3)).shape[2:] == (20, 10)
    assert T.Resize(10, max_size=16)(x).shape[2:] == (8, 16) and T.Resize([10])(x).shape[2:] == (10, 20)
    assert T.Resize(None, max_size=20)(x).shape[2:] == (10, 20)
    assert np.allclose(T.Resize((10, 20), "box")(x).numpy(), x.numpy().reshape(1, 3, 10, 2, 20, 2).mean((3, 5)))
    assert T.Resize(5, T.InterpolationMode.LANCZOS)(x).shape[2:] == (5, 10)


def test_rotations_by_right_angles() -> None:
    x = images(2, 3, 9, 9)
    for k in range(-4, 5):
        for mode in ("nearest", "bilinear"):
            np.testing.assert_allclose(
                F.rotate(x, 90 * k, mode).numpy(), np.rot90(x.numpy(), k, (2, 3)), atol=0 if mode == "nearest" else 1e-5
            )
    y = images(2, 3, 9, 6)
    assert np.array_equal(F.rotate(y, 90, expand=True).numpy(), np.rot90(y.numpy(), 1, (2, 3)))
    by_image = F.rotate(x, chainrule.tensor([90.0, 180.0])).numpy()
    assert np.array_equal(by_image[1], np.rot90(x.numpy()[1], 2, (1, 2)))
    assert np.array_equal(T.RandomRotation((90, 90), expand=True)(y).numpy(), np.rot90(y.numpy(), 1, (2, 3)))


def test_rotation_expanded_holds_everything() -> None:
    x = chainrule.ones(1, 1, 21, 31)
    for angle in (10, 33, 45, 77):
        whole = F.rotate(x, angle, "bilinear", expand=True)
        pixels = 21 * 31
        assert whole.sum().item() == pytest.approx(pixels, rel=0.01)
        turn = math.radians(angle)
        width, height = 31 * math.cos(turn) + 21 * math.sin(turn), 31 * math.sin(turn) + 21 * math.cos(turn)
        assert tuple(whole.shape[2:]) == (math.ceil(height), math.ceil(width))


@pytest.mark.parametrize("order", [0, 1])
def test_affine_is_scipys(order: int) -> None:
    """The inverse matrix, as the documentation of `affine_map` writes the map, handed to SciPy."""
    x = images(1, 1, 15, 19)
    angle, move, scale, shear = 20.0, (2.0, -1.0), 1.3, (8.0, -5.0)
    a, tx, ty = math.radians(angle), math.tan(math.radians(shear[0])), math.tan(math.radians(shear[1]))
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    matrix = scale * turn @ np.array([[1, 0], [-ty, 1]]) @ np.array([[1, -tx], [0, 1]])
    back = np.linalg.inv(matrix)[::-1, ::-1]  # SciPy counts (row, column)
    middle, shift = np.array([7.0, 9.0]), np.array(move[::-1])
    expected = ndimage.affine_transform(
        x.numpy()[0, 0].astype(float), back, middle - back @ (middle + shift), order=order, mode="grid-constant"
    )
    ours = F.affine(x, angle, move, scale, shear, ("nearest", "bilinear")[order]).numpy()[0, 0]
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    many = [chainrule.tensor([v]) for v in (angle, *move, scale, *shear)]
    each = F.affine(x, many[0], many[1:3], many[3], many[4:], ("nearest", "bilinear")[order]).numpy()[0, 0]
    np.testing.assert_allclose(each, ours, atol=1e-6)


def test_what_comes_in_has_the_fill() -> None:
    x = chainrule.ones(1, 3, 9, 9)
    y = F.affine(x, 0, (4, 0), 1.0, 0, fill=(0.1, 0.2, 0.3)).numpy()
    assert np.allclose(y[0, :, :, :4], np.reshape([0.1, 0.2, 0.3], (3, 1, 1))) and np.allclose(y[0, :, :, 4:], 1)
    assert np.allclose(F.rotate(x, 45, "bilinear", fill=[1.0]).numpy(), 1, atol=1e-6)
    assert np.allclose(F.rotate(x, 90, center=(0, 0)).numpy(), 0), "the image turns out of sight"


def test_perspective_takes_points_to_points() -> None:
    """A map that is affine is done by `affine` too; a marked pixel goes where its corner goes."""
    x = images(1, 1, 16, 16)
    square = [[0, 0], [15, 0], [15, 15], [0, 15]]
    moved = [[px + 3, py - 2] for px, py in square]
    np.testing.assert_allclose(
        F.perspective(x, square, moved).numpy(), F.affine(x, 0, (3, -2), 1.0, 0, "bilinear").numpy(), atol=1e-5
    )
    dot = chainrule.zeros(1, 1, 16, 16)
    dot[0, 0, 0, 15] = 1
    seen = F.perspective(dot, square, [[1, 2], [12, 3], [14, 13], [0, 15]], "nearest")
    assert seen[0, 0, 3, 12].item() == 1


def test_elastic_displacements_read_there() -> None:
    x = images(2, 3, 8, 10)
    shift = chainrule.zeros(1, 8, 10, 2)
    shift[..., 0] = 2 * 2 / 10  # two pixels to the right
    np.testing.assert_allclose(F.elastic_transform(x, shift).numpy()[..., :8], x.numpy()[..., 2:], atol=1e-6)
    assert np.allclose(T.ElasticTransform(0.0)(x).numpy(), x.numpy(), atol=1e-6)


# ---------------------------------------------------------------------------------------------- masks, keypoints

MOVES: dict[str, Any] = {
    "RandomHorizontalFlip": T.RandomHorizontalFlip(),
    "RandomVerticalFlip": T.RandomVerticalFlip(),
    "Pad": T.Pad((3, 1, 2, 5)),
    "CenterCrop": T.CenterCrop(30),
    "RandomCrop": T.RandomCrop(36, padding=2),
    "RandomCropSmall": T.RandomCrop(50, pad_if_needed=True),
    "Resize": T.Resize((60, 50)),
    "RandomResizedCrop": T.RandomResizedCrop(40, scale=(0.7, 1.0)),
    "RandomRotation": T.RandomRotation(60, "bilinear"),
    "RandomRotationExpanded": T.RandomRotation(60, "bilinear", expand=True),
    "RandomAffine": T.RandomAffine(30, (0.1, 0.1), (0.9, 1.3), (-10, 10, -10, 10), "bilinear"),
    "RandomPerspective": T.RandomPerspective(0.4, p=0.8),
    "ElasticTransform": T.ElasticTransform(8.0, 5.0),
    "RandomApply": T.RandomApply([T.RandomRotation(30), T.RandomHorizontalFlip()]),
    "RandomChoice": T.RandomChoice([T.RandomVerticalFlip(1.0), T.RandomRotation((90, 90))]),
    "RandomOrder": T.RandomOrder([T.RandomHorizontalFlip(), T.RandomRotation((90, 90))]),
    "ColorJitter": T.ColorJitter((0.9, 1.0)),
}


def spots(n: int, size: int = 40) -> tuple[Any, Any]:
    """Images with a smooth spot each, and where it is."""
    places = np.random.default_rng(2).uniform(14, 26, (n, 1, 2)).round()
    y, x = np.mgrid[:size, :size]
    away = (x - places[:, :, 0, None]) ** 2 + (y - places[:, :, 1, None]) ** 2
    return chainrule.tensor(np.exp(-away / 8)[:, None], dtype="float32"), chainrule.tensor(places)


@pytest.mark.parametrize("name", MOVES)
def test_keypoints_and_masks_go_with_the_image(name: str) -> None:
    """The centre of gravity of the spot is where the keypoint says, and the mask covers the spot."""
    pictures, places = spots(24)
    masks = (pictures > 0.5).long() * 7
    moved, mask, points = MOVES[name](pictures, masks, places)
    weights = moved.numpy()[:, 0].astype(float)
    assert set(np.unique(mask.numpy())) <= {0, 7} and mask.dtype is chainrule.int64 and points.dtype is places.dtype
    assert mask.shape == moved.shape
    rows, columns = np.mgrid[: weights.shape[1], : weights.shape[2]]
    points = points.numpy()[:, 0]
    for i in range(24):
        w = weights[i] * (weights[i] > 0.05 * weights[i].max())
        centre = np.array([(w * columns).sum(), (w * rows).sum()]) / w.sum()
        assert np.abs(centre - points[i]).max() < 0.6, (i, centre, points[i])
        spot = mask.numpy()[i, 0] == 7
        centre = np.array([columns[spot].mean(), rows[spot].mean()])
        assert np.abs(centre - points[i]).max() < 0.8


@pytest.mark.parametrize("name", ["ElasticTransform", "RandomAffine", "RandomPerspective", "RandomRotation"])
def test_keypoints_to_a_fraction_of_a_pixel(name: str) -> None:
    """An image that shows its own coordinates shows, where the keypoint has gone, where it came from."""
    transform = T.ElasticTransform(30.0, 4.0) if name == "ElasticTransform" else MOVES[name]
    transform = T.RandomPerspective(0.3, p=1.0) if name == "RandomPerspective" else transform
    rows, columns = np.mgrid[:40, :40].astype(float)
    x = chainrule.tensor(np.broadcast_to(np.stack([columns, rows]), (16, 2, 40, 40)).copy())
    places = np.random.default_rng(3).uniform(15, 25, (16, 5, 2))
    y, points = transform(x, chainrule.tensor(places))
    for i in range(16):
        for place, (column, row) in zip(places[i], points.numpy()[i], strict=True):
            found = [ndimage.map_coordinates(y.numpy()[i, k], [[row], [column]], order=1)[0] for k in range(2)]
            np.testing.assert_allclose(found, place, atol=0.1)


def test_a_marked_pixel_lands_exactly_where_its_keypoint_says() -> None:
    """For all that moves whole pixels, over many draws."""
    exact = T.Compose([
        T.RandomHorizontalFlip(), T.RandomVerticalFlip(), T.RandomCrop(24, padding=6), T.Pad((1, 2)),
        T.RandomChoice([T.RandomRotation((90, 90)), T.RandomAffine((180, 180), translate=(0.1, 0.1))]),
    ])  # fmt: skip
    x = chainrule.zeros(200, 1, 21, 21)
    rng = np.random.default_rng(0)
    place = rng.integers(5, 16, (200, 2))
    for i, (column, row) in enumerate(place):
        x[i, 0, int(row), int(column)] = 1
    y, points = exact(x, chainrule.tensor(place.astype(np.float32)).unsqueeze(1))
    found = 0
    for i, (column, row) in enumerate(points.numpy()[:, 0]):
        if 0 <= round(row) < y.shape[2] and 0 <= round(column) < y.shape[3]:
            assert y[i, 0, round(row), round(column)].item() == 1 and abs(row - round(row)) < 1e-4
            found += 1
    assert found > 120


def test_boxes_in_dictionaries() -> None:
    image = images(1, 3, 20, 30)[0]
    sample = {
        "image": image,
        "boxes": chainrule.tensor([[2.0, 3.0, 10.0, 8.0]]),
        "labels": chainrule.tensor([4]),
        "id": "a",
    }
    flipped = T.RandomHorizontalFlip(1.0)(sample)
    assert flipped["boxes"].tolist() == [[20.0, 3.0, 28.0, 8.0]] and flipped["labels"].tolist() == [4]
    assert flipped["id"] == "a" and set(flipped) == set(sample) and sample["boxes"].tolist() == [[2.0, 3.0, 10.0, 8.0]]
    assert T.Resize((10, 60))(sample)["boxes"].tolist() == [[4.0, 1.5, 20.0, 4.0]]
    assert T.CenterCrop(10)(sample)["boxes"].tolist() == [[0.0, 0.0, 0.0, 3.0]], "cut off at the border"
    turned = T.RandomRotation((90, 90), expand=True)(sample)["boxes"]
    np.testing.assert_allclose(turned.numpy(), [[3, 20, 8, 28]], atol=1e-4)


def test_forms_of_samples() -> None:
    flip, x = T.RandomHorizontalFlip(1.0), images(1)[0]
    mask, points = x[0] > 0.5, chainrule.tensor([[0.0, 0.0], [4.0, 2.0]])
    label = chainrule.tensor([1.0, 2.0])
    assert isinstance(flip(x), chainrule.Tensor)
    _, b, c, d = flip(x, mask, points, label)
    assert chainrule.equal(b, mask.flip(-1)) and c.tolist() == [[9.0, 0.0], [5.0, 2.0]] and d is label
    assert b.dtype is chainrule.bool
    nested = flip([x, {"masks": mask.unsqueeze(0), "keypoints": points.long(), "target": x}])
    assert isinstance(nested, list) and nested[1]["target"] is x and nested[1]["keypoints"].tolist()[0] == [9.0, 0.0]
    assert nested[1]["masks"].shape == (1, 12, 10) and flip(({"image": x}, 3))[1] == 3
    batch, labels = flip((images(4), chainrule.arange(4)))
    assert batch.shape == (4, 3, 12, 10) and labels.tolist() == [0, 1, 2, 3]
    soft = chainrule.rand(4, 2)
    assert flip(images(), soft)[1] is soft, "soft labels of two classes are no keypoints"
    assert flip(images(6).reshape(2, 3, 3, 12, 10)).shape == (2, 3, 3, 12, 10)


def test_pictures_as_masks_keep_palette_and_indices() -> None:
    picture = F.to_pil_image(bytes_(3, 12, 10))
    mask = Image.fromarray((np.arange(120).reshape(12, 10) % 3).astype(np.uint8))
    mask.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    a, b = T.RandomRotation((90, 90), expand=True)(picture, mask)
    assert a.size == (12, 10) and b.mode == "P" and set(np.unique(np.asarray(b))) == {0, 1, 2}
    assert b.getpalette()[:9] == [255, 0, 0, 0, 255, 0, 0, 0, 255]
    whole = T.Compose([T.RandomHorizontalFlip(1.0), T.ToTensor()])
    x, y = whole(picture, mask)
    assert x.shape == (3, 12, 10) and y.shape == (1, 12, 10) and y.dtype is chainrule.uint8
    assert np.array_equal(y.numpy()[0], np.asarray(mask)[:, ::-1])
    assert T.Grayscale()(mask.convert("RGB")).mode == "L" and T.Pad(1)(picture.convert("CMYK")).mode == "CMYK"


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
    assert stats.kstest(areas, "uniform", (0.05, 0.15)).statistic < 0.05
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


def test_perspective_corners_move_inwards() -> None:
    start, end = T.RandomPerspective(0.5, p=1.0).draw(chainrule.zeros(500, 1, 20, 30))
    inwards = np.abs((end - start).numpy())
    assert inwards[..., 0].max() == 7 and inwards[..., 1].max() == 5 and inwards.min() == 0
    assert (end.numpy() >= 0).all() and (end.numpy() <= [29, 19]).all()


# ------------------------------------------------------------------------------------------------------- mixed batches


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 5.0])
def test_beta_draws(alpha: float) -> None:
    draws = beta_draws(4000, alpha).numpy()
    assert stats.kstest(draws, "beta", (alpha, alpha)).pvalue > 0.001 and ((draws >= 0) & (draws <= 1)).all()


def test_mixup_mixes_labels_as_images() -> None:
    x = chainrule.eye(6).reshape(6, 6, 1, 1)  # so that the image says what it is made of
    labels = chainrule.arange(6)
    mixed, soft = T.mixup(x, labels, 1.0, 6)
    np.testing.assert_allclose(mixed.numpy()[:, :, 0, 0], soft.numpy(), atol=1e-6)
    shares = soft.numpy()[np.arange(6), np.arange(6)]
    assert len(set(shares)) == 6 and np.allclose(soft.sum(1).numpy(), 1)
    np.testing.assert_allclose(soft.numpy()[np.arange(6), np.arange(6) - 1], 1 - shares, atol=1e-6)
    again, twice = T.MixUp(alpha=0.3)((x, soft))
    assert again.shape == x.shape and np.allclose(twice.sum(1).numpy(), 1)


def test_cutmix_labels_by_area() -> None:
    x = chainrule.eye(6).reshape(6, 6, 1, 1).expand(6, 6, 20, 30) * 1.0
    mixed, soft = T.CutMix(num_classes=6)(x, chainrule.arange(6))
    assert set(np.unique(mixed.numpy())) == {0, 1}
    np.testing.assert_allclose(mixed.numpy().mean((2, 3)), soft.numpy(), atol=1e-6)
    for i in range(6):
        hole = mixed.numpy()[i, i - 1] == 1
        assert hole.sum() == np.count_nonzero(hole.any(0)) * np.count_nonzero(hole.any(1)), "a rectangle"
    areas = 1 - T.cutmix(chainrule.zeros(3000, 1, 64, 64), chainrule.eye(2)[chainrule.arange(3000) % 2])[1].amax(1)
    assert areas.min().item() >= 0 and areas.max().item() <= 0.5


@pytest.mark.parametrize("mix", [T.MixUp(num_classes=6), T.CutMix(num_classes=6)])
def test_mixing_compiles(mix: Any) -> None:
    x, y = images(6), chainrule.arange(6)
    compiled: Any = chainrule.compile(lambda a, b: mix(a, b))
    for _ in range(2):
        chainrule.manual_seed(1)
        eager = mix(x, y)
        chainrule.manual_seed(1)
        for a, b in zip(eager, compiled(x, y), strict=True):
            np.testing.assert_allclose(b.numpy(), a.numpy(), atol=1e-6)


def test_compiled_with_masks_and_keypoints() -> None:
    x, places = spots(6)
    transform = T.Compose([T.RandomHorizontalFlip(), T.RandomCrop(32), T.RandomRotation(30)])
    compiled: Any = chainrule.compile(lambda a, b, c: transform(a, b, c))
    for _ in range(2):
        results = []
        for run in (transform, compiled):
            chainrule.manual_seed(4)
            results.append([v.numpy() for v in run(x, (x > 0.5).long(), places)])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(b, a, atol=1e-6)


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
